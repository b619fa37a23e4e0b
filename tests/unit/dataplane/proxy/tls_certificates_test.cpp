// Which certificate a client gets, and how certificates change under connections.
#include <openssl/ssl.h>

#include "tests/unit/dataplane/proxy/tls_fixture.hpp"

namespace lb::proxy {
namespace {

class TlsCertificatesTest : public TlsTest {
 protected:
  std::string name_for(const std::string& asked) {
    return connect({.server_name = asked}).tls->common_name();
  }
  bool certified(const std::string& asked) {
    const Fd fd = dial(port_);
    return test::TlsClient(fd.get(), {.server_name = asked}).shake_hands();
  }
};

TEST_F(TlsCertificatesTest, EachNameHasItsOwnAndTheExactOneComesFirst) {
  tls_.certificates = {"a", "b", "all"};
  put("a", certificate_for("a.test"));
  put("b", certificate_for("b.test"));
  put("all", certificate_for("*.test"));
  ASSERT_TRUE(serve_tls().empty());
  EXPECT_EQ(name_for("a.test"), "a.test");
  EXPECT_EQ(name_for("B.Test"), "b.test");
  EXPECT_EQ(name_for("c.test"), "*.test");
}

// RFC 9525, section 6.3.
TEST_F(TlsCertificatesTest, AWildcardStandsForOneLabelOnly) {
  tls_.certificates = {"a", "all"};
  put("a", certificate_for("a.test"));
  put("all", certificate_for("*.test"));
  serve_tls();
  EXPECT_EQ(alert_for({.server_name = "x.y.test"}), SSL_AD_UNRECOGNIZED_NAME);
}

TEST_F(TlsCertificatesTest, TheOnlyOneIsForEverybody) {
  put("a", certificate_for("a.test"));
  serve_tls();
  EXPECT_EQ(name_for("elsewhere.test"), "a.test");
  EXPECT_EQ(name_for(""), "a.test");
}

TEST_F(TlsCertificatesTest, OfSeveralTheDefaultIsForWhoeverAsksForNoneOfThem) {
  tls_.certificates = {"a", "b"};
  tls_.default_certificate = "b";
  put("a", certificate_for("a.test"));
  put("b", certificate_for("b.test"));
  serve_tls();
  EXPECT_EQ(name_for("elsewhere.test"), "b.test");
  EXPECT_EQ(name_for(""), "b.test");
}

TEST_F(TlsCertificatesTest, OfSeveralWithoutADefaultUnknownNamesAreRefusedAndCounted) {
  tls_.certificates = {"a", "b"};
  put("a", certificate_for("a.test"));
  put("b", certificate_for("b.test"));
  serve_tls();
  EXPECT_EQ(alert_for({.server_name = "c.test"}), SSL_AD_UNRECOGNIZED_NAME);
  EXPECT_EQ(alert_for({}), SSL_AD_UNRECOGNIZED_NAME);
  expect_refused(Refusal::kHandshake, 2);
  EXPECT_EQ(counters().tls_unknown_names, 2u);
}

TEST_F(TlsCertificatesTest, WithoutAnyAListenerIsNotServedUntilOneComes) {
  const auto failed = serve_tls();
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].reason, "CertificateMissing");
  EXPECT_FALSE(dial(port_).valid());
  put("a", certificate_for("a.test"));
  EXPECT_TRUE(apply(state()).empty());
  EXPECT_TRUE(certified("a.test"));
}

TEST_F(TlsCertificatesTest, OneThatIsReplacedServesTheNextConnectionAndTheOthersGoOn) {
  put("a", certificate_for("old.test"));
  const DesiredState same = state();
  apply(same);
  const Pair before = connect();
  put("a", certificate_for("new.test"));
  apply(same);
  EXPECT_EQ(name_for("a.test"), "new.test");
  ASSERT_TRUE(before.tls->write("on"));
  EXPECT_EQ(read_some(before.backend, 2), "on");
  EXPECT_EQ(before.tls->common_name(), "old.test");
}

TEST_F(TlsCertificatesTest, ClientsMustShowOneOfTheAuthoritiesWhereThatIsAsked) {
  tls_.client_authorities = {"clients"};
  put("a", certificate_for("a.test"));
  put("clients", {authority().certificate, ""});
  ASSERT_TRUE(serve_tls().empty());
  const auto known =
      net::issue(authority(), "client", net::CertificateUse::kClient, validity()).value();
  const auto strange = net::make_authority("strangers", validity()).value();
  const auto stranger =
      net::issue(strange, "client", net::CertificateUse::kClient, validity()).value();
  const Pair pair = connect({.server_name = "a.test", .identity = known});
  EXPECT_TRUE(pair.backend.valid());
  EXPECT_EQ(alert_for({.server_name = "a.test"}), SSL_AD_CERTIFICATE_REQUIRED);
  EXPECT_EQ(alert_for({.server_name = "a.test", .identity = stranger}), SSL_AD_UNKNOWN_CA);
  expect_refused(Refusal::kHandshake, 2);
  EXPECT_EQ(counters().tls_client_certificates_refused, 2u);
}

// Otherwise one would outlive its certificate, and an authority that is no longer trusted.
TEST_F(TlsCertificatesTest, WhoMustShowACertificateGetsNoTicket) {
  tls_.client_authorities = {"clients"};
  put("a", certificate_for("a.test"));
  put("clients", {authority().certificate, ""});
  serve_tls();
  const auto known =
      net::issue(authority(), "client", net::CertificateUse::kClient, validity()).value();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    SCOPED_TRACE(version);
    test::TlsClientOptions options{
        .server_name = "a.test", .identity = known, .max_version = version};
    const Pair first = connect(options);
    write_all(first.backend.get(), "x");
    EXPECT_EQ(first.tls->read(1), "x");
    SSL_SESSION* session = first.tls->session();
    options.session = session;
    EXPECT_FALSE(connect(options).tls->resumed());
    SSL_SESSION_free(session);
  }
}

TEST_F(TlsCertificatesTest, WithSomeMissingTheOthersServeAndThatIsSaid) {
  tls_.certificates = {"a", "b"};
  put("a", certificate_for("a.test"));
  const auto failed = serve_tls();
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].reason, "CertificateMissing");
  EXPECT_NE(failed[0].message.find("'b'"), std::string::npos) << failed[0].message;
  EXPECT_EQ(name_for("a.test"), "a.test");
  put("b", certificate_for("b.test"));
  EXPECT_TRUE(serve_tls().empty());
}

TEST_F(TlsCertificatesTest, WithoutTheAuthorityThatIsAskedForNobodyIsLetIn) {
  tls_.client_authorities = {"clients"};
  put("a", certificate_for("a.test"));
  const auto failed = serve_tls();
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].reason, "CertificateMissing");
}

TEST_F(TlsCertificatesTest, OurOrderOfProtocolsDecides) {
  tls_.alpn = {"h2", "http/1.1"};
  put("a", certificate_for("a.test"));
  serve_tls();
  EXPECT_EQ(connect({.alpn = {"http/1.1", "h2"}}).tls->protocol(), "h2");
  EXPECT_EQ(connect({.alpn = {"http/1.1"}}).tls->protocol(), "http/1.1");
  EXPECT_EQ(connect({}).tls->protocol(), "") << "whoever offers none is served";
}

// RFC 7301, section 3.2.
TEST_F(TlsCertificatesTest, WhoOffersOnlyOthersIsRefused) {
  tls_.alpn = {"h2"};
  put("a", certificate_for("a.test"));
  serve_tls();
  EXPECT_EQ(alert_for({.alpn = {"mqtt"}}), SSL_AD_NO_APPLICATION_PROTOCOL);
  expect_refused(Refusal::kHandshake);
  EXPECT_EQ(counters().tls_no_protocol, 1u);
}

}  // namespace
}  // namespace lb::proxy
