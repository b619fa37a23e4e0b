// TLS that ends at a listener: who is let through, and what of the bytes and ends arrives.
#include <openssl/ssl.h>
#include <openssl/tls1.h>

#include "tests/unit/dataplane/proxy/tls_fixture.hpp"

namespace lb::proxy {
namespace {

using TlsPathTest = TlsTest;

struct FreeSession {
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
using Session = std::unique_ptr<SSL_SESSION, FreeSession>;

std::string many_bytes(size_t size) {
  std::string out(size, '\0');
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * 131 >> 3);
  return out;
}

TEST_F(TlsPathTest, TheBackendGetsWhatTheClientSaysAndTheOtherWayRound) {
  put("a", certificate_for("a.test"));
  ASSERT_TRUE(serve_tls().empty());
  const Pair pair = connect();
  EXPECT_EQ(pair.tls->common_name(), "a.test");
  ASSERT_TRUE(pair.tls->write("hello"));
  EXPECT_EQ(read_some(pair.backend, 5), "hello");
  write_all(pair.backend.get(), "back");
  EXPECT_EQ(pair.tls->read(4), "back");
  EXPECT_EQ(counters().tls_handshakes, 1u);
  EXPECT_EQ(counters().bytes_in, 5u) << "what the backend gets, not what TLS makes of it";
}

TEST_F(TlsPathTest, WhatComesWithTheEndOfTheHandshakeIsNotForgotten) {
  put("a", certificate_for("a.test"));
  serve_tls();
  Fd client = dial(port_);
  const int on = 1;
  setsockopt(client.get(), IPPROTO_TCP, 3 /* TCP_CORK */, &on, sizeof on);
  test::TlsClient tls(client.get());
  // The client's last message is held back, and leaves with its first bytes.
  ASSERT_TRUE(tls.shake_hands());
  ASSERT_TRUE(tls.write("together"));
  const int off = 0;
  setsockopt(client.get(), IPPROTO_TCP, 3, &off, sizeof off);
  const Fd backend = server_.accept_one();
  EXPECT_EQ(read_some(backend, 8), "together");
}

TEST_F(TlsPathTest, MegabytesArriveAsTheyWereBothWays) {
  put("a", certificate_for("a.test"));
  serve_tls();
  Pair pair = connect();
  const std::string sent = many_bytes(8 << 20);
  std::thread writer([&] { EXPECT_TRUE(pair.tls->write(sent)); });
  EXPECT_EQ(read_some(pair.backend, sent.size()), sent);
  writer.join();
  std::thread answer([&] { write_all(pair.backend.get(), sent); });
  EXPECT_EQ(pair.tls->read(sent.size()), sent);
  answer.join();
}

TEST_F(TlsPathTest, TheClientsEndIsPassedOnAndTheAnswerStillComes) {
  put("a", certificate_for("a.test"));
  serve_tls();
  Pair pair = connect();
  ASSERT_TRUE(pair.tls->write("last"));
  pair.tls->finish();
  EXPECT_EQ(read_all(pair.backend.get()), "last");
  write_all(pair.backend.get(), "answer");
  pair.backend.reset();
  EXPECT_EQ(pair.tls->read_to_end(), "answer");
  EXPECT_TRUE(pair.tls->ended_well());
  expect_ended(EndReason::kClientFin);
  EXPECT_EQ(counters().tls_cut_off, 0u);
}

TEST_F(TlsPathTest, TheBackendsEndIsToldInTlsAndTheClientMayGoOn) {
  put("a", certificate_for("a.test"));
  serve_tls();
  Pair pair = connect();
  write_all(pair.backend.get(), "bye");
  shutdown(pair.backend.get(), SHUT_WR);
  EXPECT_EQ(pair.tls->read_to_end(), "bye");
  EXPECT_TRUE(pair.tls->ended_well());
  ASSERT_TRUE(pair.tls->write("still here"));
  pair.tls->finish();
  EXPECT_EQ(read_all(pair.backend.get()), "still here");
}

TEST_F(TlsPathTest, AClientThatOnlyHangsUpIsCountedAndItsEndPassedOn) {
  put("a", certificate_for("a.test"));
  serve_tls();
  Pair pair = connect();
  ASSERT_TRUE(pair.tls->write("last"));
  shutdown(pair.client.get(), SHUT_WR);
  EXPECT_EQ(read_all(pair.backend.get()), "last");
  EXPECT_TRUE(eventually([this] { return counters().tls_cut_off == 1; }));
}

TEST_F(TlsPathTest, ABackendThatResetsIsNoEndInOrder) {
  put("a", certificate_for("a.test"));
  serve_tls();
  Pair pair = connect();
  ASSERT_TRUE(pair.tls->write("x"));
  EXPECT_EQ(read_some(pair.backend, 1), "x");
  write_all(pair.backend.get(), "half");
  EXPECT_EQ(pair.tls->read(4), "half");
  reset(pair.backend);
  EXPECT_EQ(pair.tls->read_to_end(), "");
  EXPECT_FALSE(pair.tls->ended_well());
  expect_ended(EndReason::kBackendReset);
}

TEST_F(TlsPathTest, WithoutHalfCloseTheClientIsToldInTlsToo) {
  policy_.half_close = false;
  put("a", certificate_for("a.test"));
  serve_tls();
  Pair pair = connect();
  ASSERT_TRUE(pair.tls->write("x"));
  EXPECT_EQ(read_some(pair.backend, 1), "x");
  pair.tls->finish();
  EXPECT_EQ(pair.tls->read_to_end(), "");
  EXPECT_TRUE(pair.tls->ended_well());
}

TEST_F(TlsPathTest, NewKeysInTheMiddleAreAnswered) {
  put("a", certificate_for("a.test"));
  serve_tls();
  Pair pair = connect();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(pair.tls->change_keys());
    ASSERT_TRUE(pair.tls->write("new"));
    EXPECT_EQ(read_some(pair.backend, 3), "new");
    write_all(pair.backend.get(), "keys");
    EXPECT_EQ(pair.tls->read(4), "keys");
  }
}

// Each of them costs us a key's work, and the client nothing.
TEST_F(TlsPathTest, WhoOnlyChangesKeysIsReset) {
  put("a", certificate_for("a.test"));
  serve_tls();
  Pair pair = connect();
  for (int i = 0; i < 40 && pair.tls->change_keys(); ++i) {
  }
  EXPECT_EQ(read_all(pair.backend.get()), "");
  expect_ended(EndReason::kClientReset);
}

TEST_F(TlsPathTest, WhoWantsToRenegotiateIsReset) {
  put("a", certificate_for("a.test"));
  serve_tls();
  Pair pair = connect({.server_name = "a.test", .max_version = TLS1_2_VERSION});
  EXPECT_FALSE(pair.tls->renegotiate());
  EXPECT_EQ(read_all(pair.backend.get()), "");
  expect_ended(EndReason::kClientReset);
}

TEST_F(TlsPathTest, ManyRecordsOfOneByteArriveInOrder) {
  put("a", certificate_for("a.test"));
  serve_tls();
  Pair pair = connect();
  std::string sent;
  std::thread writer([&] {
    for (int i = 0; i < 20000; ++i)
      EXPECT_TRUE(pair.tls->write(std::string(1, char('a' + i % 26))));
  });
  for (int i = 0; i < 20000; ++i) sent += char('a' + i % 26);
  EXPECT_EQ(read_some(pair.backend, sent.size()), sent);
  writer.join();
}

TEST_F(TlsPathTest, GarbageWithinAConnectionEndsItAndReachesNobody) {
  put("a", certificate_for("a.test"));
  serve_tls();
  Pair pair = connect();
  const std::string record(
      "\x17\x03\x03\x00\x10"
      "0123456789abcdef",
      21);
  write_all(pair.client.get(), record);
  EXPECT_EQ(read_all(pair.backend.get()), "");
  expect_ended(EndReason::kClientReset);
}

TEST_F(TlsPathTest, TheNewestTicketSavesAHandshake) {
  put("a", certificate_for("a.test"));
  serve_tls();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    SCOPED_TRACE(version);
    const uint64_t before = counters().tls_resumed;
    test::TlsClientOptions options{.server_name = "a.test", .max_version = version};
    const Pair first = connect(options);
    write_all(first.backend.get(), "x");
    EXPECT_EQ(first.tls->read(1), "x");
    const Session ticket(first.tls->session());
    options.session = ticket.get();
    const Pair second = connect(options);
    EXPECT_TRUE(second.tls->resumed());
    EXPECT_TRUE(eventually([&] { return counters().tls_resumed == before + 1; }));
  }
}

TEST_F(TlsPathTest, OldVersionsAreRefused) {
  put("a", certificate_for("a.test"));
  serve_tls();
  EXPECT_EQ(alert_for({.server_name = "a.test", .max_version = TLS1_1_VERSION}),
            SSL_AD_PROTOCOL_VERSION);
  expect_refused(Refusal::kHandshake);
  expect_told(Refusal::kHandshake);
  EXPECT_EQ(counters().tls_refused, 1u);
}

TEST_F(TlsPathTest, WhatIsNoTlsIsRefusedBeforeAnybodyIsDialled) {
  put("a", certificate_for("a.test"));
  serve_tls();
  const Fd client = dial(port_);
  write_all(client.get(), "GET / HTTP/1.1\r\n\r\n");
  (void)read_all(client.get());
  expect_refused(Refusal::kHandshake);
  EXPECT_EQ(counters().dials, 0u);
}

TEST_F(TlsPathTest, WhoOnlyLooksWhetherThePortIsOpenIsNoOffence) {
  put("a", certificate_for("a.test"));
  serve_tls();
  Fd ends = dial(port_), resets = dial(port_);
  ends.reset();
  reset(resets);
  EXPECT_TRUE(eventually([this] { return ended(EndReason::kClientGone) == 2; }));
  EXPECT_EQ(sum(totals().refused), 0u);
}

TEST_F(TlsPathTest, WhoSaysNothingIsGivenUpAfterAWhile) {
  put("a", certificate_for("a.test"));
  serve_tls();
  const Fd client = dial(port_);
  const timeval limit{20, 0};
  setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  EXPECT_TRUE(is_reset(client));
  expect_refused(Refusal::kHandshake);
  EXPECT_EQ(counters().tls_timeouts, 1u);
}

}  // namespace
}  // namespace lb::proxy
