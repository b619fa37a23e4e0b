// Policies of a service whose TLS ends here: they see clients and plain bytes.
#include <sys/resource.h>

#include "tests/unit/dataplane/proxy/tls_fixture.hpp"

namespace lb::proxy {
namespace {

// As many as this process may have, while it lives.
struct AllDescriptors {
  AllDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before);
    rlimit now = before;
    now.rlim_cur = before.rlim_max;
    setrlimit(RLIMIT_NOFILE, &now);
    limit = now.rlim_cur;
  }
  ~AllDescriptors() { setrlimit(RLIMIT_NOFILE, &before); }
  rlimit before{};
  rlim_t limit = 0;
};

class TlsPoliciesTest : public TlsTest {
 protected:
  void begin() {
    put("a", certificate_for("a.test"));
    ASSERT_TRUE(serve_tls().empty());
  }
};

TEST_F(TlsPoliciesTest, ATrustedProxysHeaderComesBeforeTls) {
  policy_.accept_proxy_from = {range("127.0.0.0/8")};
  policy_.source_ranges = {range("192.0.2.0/24")};
  begin();
  const Fd client = dial(port_);
  write_all(client.get(), "PROXY TCP4 192.0.2.7 127.0.0.1 1234 443\r\n");
  test::TlsClient tls(client.get(), {.server_name = "a.test"});
  ASSERT_TRUE(tls.shake_hands());
  const Fd backend = server_.accept_one();
  ASSERT_TRUE(tls.write("hello"));
  EXPECT_EQ(read_some(backend, 5), "hello");
  ASSERT_EQ(flows().size(), 1u);
  EXPECT_EQ(flows()[0].client->address.to_string(), "192.0.2.7");
}

TEST_F(TlsPoliciesTest, TheBackendsHeaderComesBeforeThePlainBytes) {
  policy_.proxy_protocol = ProxyProtocol::kV1;
  begin();
  const Pair pair = connect();
  ASSERT_TRUE(pair.tls->write("hello"));
  const std::string head = read_some(pair.backend, 6);
  EXPECT_EQ(head, "PROXY ");
  std::string rest;
  while (rest.find('\n') == std::string::npos) rest += read_some(pair.backend, 1);
  EXPECT_EQ(read_some(pair.backend, 5), "hello");
}

TEST_F(TlsPoliciesTest, WhoMayNotComeIsNotSpokenToInTls) {
  policy_.deny_ranges = {range("127.0.0.0/8")};
  begin();
  const Fd client = dial(port_);
  EXPECT_TRUE(is_reset(client));
  EXPECT_EQ(counters().tls_refused, 0u);
  expect_refused(Refusal::kSourceRange);
}

// The connection counts while hands are shaken, and no longer when that has failed.
TEST_F(TlsPoliciesTest, AHandshakeTakesAPlaceAndGivesItBack) {
  policy_.max_connections = 1;
  begin();
  Fd silent = dial(port_);
  EXPECT_TRUE(eventually([this] { return counters().active == 1; }));
  const Fd second = dial(port_);
  EXPECT_TRUE(is_reset(second));
  write_all(silent.get(), "nonsense that is no TLS at all");
  (void)read_all(silent.get());
  EXPECT_TRUE(eventually([this] { return counters().active == 0; }));
  const Pair third = connect();
  EXPECT_TRUE(third.backend.valid());
}

// By a reset, or by an end in order, of which the client must not be told.
TEST_F(TlsPoliciesTest, WhatTheClientHasSaidIsSaidAgainToAnotherBackend) {
  policy_.retry_before_first_byte = true;
  Server other;
  put("a", certificate_for("a.test"));
  DesiredState both = state();
  ServicePort& listener = both.services.edit(0).ports[0];
  Backend second = listener.backends[0];
  second.port = other.port;
  listener.backends.push_back(second);
  normalise(both);
  apply(both);
  for (const bool by_reset : {true, false}) {
    SCOPED_TRACE(by_reset);
    const Fd client = dial(port_);
    test::TlsClient tls(client.get(), {.server_name = "a.test"});
    ASSERT_TRUE(tls.shake_hands());
    ASSERT_TRUE(tls.write("question"));
    const int first = wait_for_one_of(server_.fd.get(), other.fd.get());
    Fd failing = (first == 0 ? server_ : other).accept_one();
    EXPECT_EQ(read_some(failing, 8), "question");
    by_reset ? reset(failing) : failing.reset();
    const Fd backend = (first == 0 ? other : server_).accept_one();
    EXPECT_EQ(read_some(backend, 8), "question");
    write_all(backend.get(), "answer");
    EXPECT_EQ(tls.read(6), "answer");
  }
}

TEST_F(TlsPoliciesTest, WhoHasSpokenAndEndedMayStillWaitForABackend) {
  policy_.when_empty = WhenEmpty::kWait;
  policy_.empty_wait_ms = 5000;
  put("a", certificate_for("a.test"));
  DesiredState empty = state();
  empty.services.edit(0).ports[0].backends.clear();
  apply(empty);
  const Fd client = dial(port_);
  test::TlsClient tls(client.get(), {.server_name = "a.test"});
  ASSERT_TRUE(tls.shake_hands());
  ASSERT_TRUE(tls.write("question"));
  tls.finish();
  shutdown(client.get(), SHUT_WR);
  EXPECT_TRUE(eventually([this] { return counters().waits == 1; }));
  apply(state());
  Fd backend = server_.accept_one();
  EXPECT_EQ(read_all(backend.get()), "question");
  write_all(backend.get(), "answer");
  backend.reset();
  EXPECT_EQ(tls.read_to_end(), "answer");
}

TEST_F(TlsPoliciesTest, OneNameEndsItsTlsWhereAnotherIsPassedThrough) {
  Server whole;
  put("a", certificate_for("a.test"));
  DesiredState both = state();
  both.services.edit(0).ports[0].match.names = {"a.test"};
  Service passed = both.services[0];
  passed.key = "file/whole";
  passed.ports[0].match.names = {"b.test"};
  passed.ports[0].tls = {};
  passed.ports[0].backends[0].port = whole.port;
  both.services.push_back(passed);
  normalise(both);
  ASSERT_TRUE(apply(both).empty());
  const Pair ended = connect({.server_name = "a.test"});
  ASSERT_TRUE(ended.tls->write("plain"));
  EXPECT_EQ(read_some(ended.backend, 5), "plain");
  const Fd client = dial(port_);
  const std::string hello = test::records(test::client_hello("b.test"));
  write_all(client.get(), hello);
  const Fd backend = whole.accept_one();
  EXPECT_EQ(read_some(backend, hello.size()), hello);
}

// Each costs a key's work: what a worker has begun is what it can bring to an end in time.
TEST_F(TlsPoliciesTest, WhoeverComesWhileTooManyAgreeOnKeysIsRefused) {
  constexpr size_t kMost = 2048;  // of a worker
  const AllDescriptors raised;
  if (raised.limit < 3 * kMost) GTEST_SKIP() << "no more than " << raised.limit << " descriptors";
  remake({.workers = 1,
          .post = [this](auto task) { asio::post(control_, std::move(task)); },
          .certificates = book_});
  begin();
  std::vector<Fd> silent;
  for (size_t i = 0; i < kMost; ++i) silent.push_back(dial(port_));
  ASSERT_TRUE(eventually([this] { return counters().active == kMost; }));
  EXPECT_TRUE(read_all(dial(port_).get()).empty());
  EXPECT_EQ(counters().tls_overflows, 1u);
  silent.pop_back();
  EXPECT_TRUE(eventually([this] { return counters().active == kMost - 1; }));
  const Pair pair = connect();
  EXPECT_TRUE(pair.tls->write("x"));
  EXPECT_EQ(counters().tls_overflows, 1u);
}

}  // namespace
}  // namespace lb::proxy
