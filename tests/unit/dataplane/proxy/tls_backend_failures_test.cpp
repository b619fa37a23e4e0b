// Backends with which TLS does not come about: their clients get another one, and it is told why.
#include <gmock/gmock.h>
#include <openssl/ssl.h>

#include "tests/unit/dataplane/proxy/tls_backend_fixture.hpp"

namespace lb::proxy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class TlsBackendFailuresTest : public TlsBackendTest {
 protected:
  static net::SignedKey issued(const std::string& name, net::Validity validity) {
    return net::issue(authority(), name, net::CertificateUse::kServer, validity).value();
  }
  // Only the backend that fails is asked, and its client left without one.
  void fail_with(const test::TlsServerContext& context) {
    Fd client;
    std::thread asking([&] {
      client = dial(port_);
      test::TlsClient tls(client.get(), {.server_name = "a.test"});
      EXPECT_TRUE(tls.shake_hands());
      EXPECT_EQ(tls.read(1), "");
      EXPECT_FALSE(tls.ended_well());
    });
    answer(server_, context, false).tls->shake_hands();
    asking.join();
  }
  uint64_t failures() { return totals().backends.at(0).tls; }
  // A backend that is asked first, and then a good one. The client is to get the good one's answer.
  template <class Fail>
  void expect_another_instead_of(const Fail& fail) {
    Server other;
    ASSERT_TRUE(serve_with({server_.port, other.port}).empty());
    const auto context = good_server();
    const Asker client = ask("question");
    const int first = wait_for_one_of(server_.fd.get(), other.fd.get());
    Fd failing = (first == 0 ? server_ : other).accept_one();
    fail(failing);
    const Answerer backend = answer(first == 0 ? other : server_, context);
    EXPECT_EQ(backend.tls->read(8), "question");
    ASSERT_TRUE(backend.tls->write("answer"));
    EXPECT_EQ(client.tls->read(6), "answer");
    EXPECT_EQ(counters().retries, 1u);
    EXPECT_EQ(counters().backend_tls_failures, 1u);
    EXPECT_EQ(counters().backend_tls_handshakes, 1u);
  }
};

TEST_F(TlsBackendFailuresTest, CertificatesThatAreNotGoodAreRefusedAndItIsToldWhy) {
  const auto strange = net::make_authority("strangers", validity()).value();
  const int64_t now = std::time(nullptr);
  const std::pair<net::SignedKey, const char*> cases[] = {
      {issued("elsewhere.internal", validity()), "hostname mismatch"},
      {issued("web.internal", {now - 100, now - 50}), "certificate has expired"},
      {issued("web.internal", {now + 500, now + 1000}), "certificate is not yet valid"},
      {net::issue(strange, "web.internal", net::CertificateUse::kServer, validity()).value(),
       "unable to get local issuer certificate"},
      {net::issue(authority(), "web.internal", net::CertificateUse::kClient, validity()).value(),
       "purpose"}};
  policy_.ejection = {.refused = 0, .timeouts = 0, .seconds = 1};
  ASSERT_TRUE(serve_tls().empty());
  uint64_t count = 0;
  for (const auto& [identity, why] : cases) {
    SCOPED_TRACE(why);
    fail_with(server({.identity = identity}));
    ++count;
    EXPECT_TRUE(eventually([&] { return ended(EndReason::kNoBackend) == count; }));
    EXPECT_EQ(counters().backend_tls_unverified, count);
    EXPECT_EQ(failures(), count);
    ASSERT_TRUE(eventually([&] { return complaints().size() == count; }));
    EXPECT_THAT(complaints().back(), HasSubstr(why));
  }
}

TEST_F(TlsBackendFailuresTest, WithoutVerifyingAnyCertificateWillDo) {
  const auto strange = net::make_authority("strangers", validity()).value();
  const int64_t now = std::time(nullptr);
  tls_.backend = BackendTls{"asked.internal", {}, false};
  serve_tls();
  const Asker client = ask();
  const Answerer backend = answer(
      server_, server({.identity = net::issue(strange, "x.test", net::CertificateUse::kServer,
                                              {now - 100, now - 50})
                                       .value()}));
  EXPECT_EQ(backend.tls->server_name(), "asked.internal");
  expect_talk(client, backend);
  tls_.backend->server_name.clear();
  serve_tls();
  const Asker nameless = ask();
  EXPECT_EQ(answer(server_, good_server()).tls->server_name(), "");
}

// None of a test is among them.
TEST_F(TlsBackendFailuresTest, WithoutAuthoritiesThoseOfTheHostAreTrusted) {
  tls_.backend->authorities.clear();
  ASSERT_TRUE(serve_tls().empty());
  fail_with(good_server());
  EXPECT_TRUE(eventually([this] { return counters().backend_tls_unverified == 1; }));
}

TEST_F(TlsBackendFailuresTest, AnAuthorityNeedNotHaveSignedItself) {
  const auto identity = certificate_for("web.internal");
  put("leaf", {identity.certificate, ""});
  tls_.backend->authorities = {"leaf"};
  ASSERT_TRUE(serve_tls().empty());
  const Asker client = ask();
  expect_talk(client, answer(server_, server({.identity = identity})));
}

TEST_F(TlsBackendFailuresTest, AnAuthorityThatIsReplacedHoldsForTheNextConnection) {
  const auto fresh = net::make_authority("fresh", validity()).value();
  const auto renewed = server(
      {.identity =
           net::issue(fresh, "web.internal", net::CertificateUse::kServer, validity()).value()});
  const DesiredState same = state();
  apply(same);
  const Asker before = ask();
  const Answerer old = answer(server_, good_server());
  put("ca", {fresh.certificate, ""});
  apply(same);
  const Asker after = ask();
  expect_talk(after, answer(server_, renewed));
  expect_talk(before, old);
  fail_with(good_server());
}

TEST_F(TlsBackendFailuresTest, WithoutItsAuthorityAPortIsNotServedUntilThatComes) {
  tls_.backend->authorities = {"later"};
  const auto failed = serve_tls();
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].reason, "CertificateMissing");
  EXPECT_THAT(failed[0].message, HasSubstr("'later'"));
  EXPECT_FALSE(dial(port_).valid());
  put("later", {authority().certificate, ""});
  EXPECT_TRUE(serve_tls().empty());
  const Asker client = ask();
  expect_talk(client, answer(server_, good_server()));
}

TEST_F(TlsBackendFailuresTest, AnotherIsAskedInsteadOfOneThatSpeaksPlainText) {
  expect_another_instead_of([](Fd& fd) {
    write_all(fd.get(), "220 mail.test ESMTP, and some more to fill a record\r\n");
    fd.reset();
  });
  EXPECT_THAT(complaints(), ElementsAre("wrong version number"));
}

TEST_F(TlsBackendFailuresTest, OrThatResetsInTheHandshake) {
  expect_another_instead_of([](Fd& fd) {
    read_some(fd, 5);
    reset(fd);
  });
  EXPECT_THAT(complaints(), ElementsAre("the connection was reset in the handshake"));
}

TEST_F(TlsBackendFailuresTest, OrThatEndsInIt) {
  expect_another_instead_of([](Fd& fd) {
    std::string hello(16384, '\0');
    EXPECT_GT(recv(fd.get(), hello.data(), hello.size(), 0), 0);
    fd.reset();
  });
  EXPECT_THAT(complaints(), ElementsAre("the connection was ended in the handshake"));
}

TEST_F(TlsBackendFailuresTest, OrThatStallsInIt) {
  policy_.connect_timeout_ms = 1000;
  Fd stalled;
  expect_another_instead_of([&](Fd& fd) { stalled = std::move(fd); });
  EXPECT_EQ(counters().backend_tls_timeouts, 1u);
  EXPECT_EQ(counters().ejections, 1u) << "as one that does not answer its connects";
}

TEST_F(TlsBackendFailuresTest, OrThatShowsAWrongCertificate) {
  expect_another_instead_of([](Fd& fd) {
    test::TlsServer tls(fd.get(), server({.identity = certificate_for("wrong.internal")}));
    tls.shake_hands();
    // With TLS 1.3 a server learns of it only when it reads.
    tls.read(1);
    EXPECT_EQ(tls.alert(), SSL_AD_BAD_CERTIFICATE);
  });
}

TEST_F(TlsBackendFailuresTest, ThreeFailuresInARowLeaveItOut) {
  serve_tls();
  const auto wrong = server({.identity = certificate_for("wrong.internal")});
  for (int i = 0; i < 3; ++i) fail_with(wrong);
  EXPECT_TRUE(eventually([this] { return port_status().backends.at(0).ejected; }));
  EXPECT_EQ(port_status().backends.at(0).reason, "Tls");
  EXPECT_EQ(counters().connect_errors, 0u);
}

TEST_F(TlsBackendFailuresTest, EachReasonIsToldOnceHoweverManyClientsMeetIt) {
  policy_.ejection = {.refused = 0, .timeouts = 0, .seconds = 1};
  serve_tls();
  const auto wrong = server({.identity = certificate_for("wrong.internal")});
  for (int i = 0; i < 6; ++i) fail_with(wrong);
  EXPECT_TRUE(eventually([this] { return counters().backend_tls_failures == 6; }));
  EXPECT_EQ(complaints().size(), 1u);
}

// Otherwise clients could say which backends are left out.
TEST_F(TlsBackendFailuresTest, WhoDoesNotSpeakTheClientsProtocolIsNotLeftOutForIt) {
  tls_.alpn = {"h2", "http/1.1"};
  policy_.ejection = {.refused = 1, .timeouts = 1, .seconds = 60};
  serve_tls();
  for (const auto& options : {test::TlsServerOptions{.alpn = {"http/1.1"}},
                              test::TlsServerOptions{.forced_protocol = "http/1.1"}}) {
    const Asker client = ask("", {.server_name = "a.test", .alpn = {"h2"}});
    answer(server_, server(options), false).tls->shake_hands();
    EXPECT_EQ(client.tls->read(1), "");
  }
  EXPECT_TRUE(eventually([this] { return counters().backend_tls_failures == 2; }));
  EXPECT_EQ(counters().ejections, 0u);
  const Asker client = ask("", {.server_name = "a.test", .alpn = {"http/1.1"}});
  expect_talk(client, answer(server_, server({.alpn = {"http/1.1"}})));
}

// With TLS 1.3 that comes after our handshake.
TEST_F(TlsBackendFailuresTest, ABackendThatWantsACertificateOfOursIsTold) {
  serve_tls();
  const Asker client = ask();
  Answerer backend =
      answer(server_, server({.client_authority = authority().certificate}), false);
  EXPECT_FALSE(backend.tls->shake_hands());
  backend.fd.reset();
  EXPECT_EQ(client.tls->read(1), "");
  EXPECT_TRUE(eventually([this] { return complaints().size() == 1; }));
  EXPECT_THAT(complaints(), ElementsAre(HasSubstr("certificate required")));
  EXPECT_EQ(counters().backend_tls_failures, 1u);
}

}  // namespace
}  // namespace lb::proxy
