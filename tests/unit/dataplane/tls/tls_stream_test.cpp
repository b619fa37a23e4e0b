// One end of TLS, towards a server whose bytes come in whatever pieces.
#include "dataplane/tls/tls_stream.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "common/net/fd.hpp"
#include "tests/support/tls_stutterer.hpp"

namespace lb::tls {
namespace {

constexpr int64_t kToday = 1'800'000'000;
const Endpoint kBackend{*IpAddress::parse("192.0.2.1"), 443};

net::SignedKey identity() {
  constexpr net::Validity kValid{kToday - 1'000'000'000, kToday + 1'000'000'000};
  const auto authority = net::make_authority("tests", kValid).value();
  return net::issue(authority, "web.internal", net::CertificateUse::kServer, kValid).value();
}

class TlsStreamTest : public testing::Test {
 protected:
  TlsStreamTest() { open(); }
  void open() {
    stream.reset();
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    here = net::Fd(ends[0]);
    there = net::Fd(ends[1]);
    stream = TlsStream::connect(terms, here.get(), kBackend, "");
    server.start_again();
  }
  void send(const std::string& bytes) {
    ASSERT_EQ(::send(there.get(), bytes.data(), bytes.size(), 0), ssize_t(bytes.size()));
    stream->wake(false);
  }
  // What the server says once the handshake is done: its tickets, which nobody has got yet.
  std::string shake_hands() {
    for (int turn = 0; turn < 10; ++turn) {
      std::string wire;
      const Outcome done = stream->shake_hands(wire);
      server.hear(wire);
      const bool both = server.shake_hands() && done == Outcome::kDone;
      const std::string said = server.take_said();
      if (both) return said;
      send(said);
    }
    ADD_FAILURE() << "no handshake";
    return {};
  }
  Outcome read(std::string* text = nullptr) {
    char room[100];
    size_t got = 0;
    const Outcome out = stream->read(room, sizeof room, &got);
    if (text != nullptr) text->assign(room, got);
    return out;
  }
  std::string written(const std::string& text) {
    std::string wire;
    EXPECT_TRUE(stream->write(text.data(), text.size(), wire));
    return wire;
  }

  test::TlsStutterer server{identity()};
  const std::shared_ptr<const ClientTls> terms = ClientTls::make({"", {}, false}, {}).value();
  net::Fd here, there;
  std::unique_ptr<TlsStream> stream;
};

TEST_F(TlsStreamTest, WhatIsToBeSaidWaitsUntilATicketThatIsHalfHereIsWhole) {
  const std::string tickets = shake_hands();
  const size_t part = test::TlsStutterer::first_record(tickets);
  ASSERT_LT(part, tickets.size());
  send(tickets.substr(0, part));
  EXPECT_EQ(read(), Outcome::kWaiting);
  EXPECT_EQ(written("que"), "");
  EXPECT_EQ(written("stion"), "");
  EXPECT_TRUE(stream->holds_back());
  send(tickets.substr(part));
  EXPECT_EQ(read(), Outcome::kWaiting);
  EXPECT_FALSE(stream->holds_back());
  server.hear(stream->take_reply());
  EXPECT_EQ(server.read(), "question");
  server.hear(written(" and more"));
  EXPECT_EQ(server.read(), " and more");
}

TEST_F(TlsStreamTest, TheEndIsToldOnceATicketThatIsHalfHereIsWhole) {
  const std::string tickets = shake_hands();
  const size_t part = test::TlsStutterer::first_record(tickets);
  send(tickets.substr(0, part));
  read();
  std::string wire;
  stream->finish(wire);
  EXPECT_EQ(wire, "");
  EXPECT_TRUE(stream->holds_back());
  send(tickets.substr(part));
  read();
  stream->finish(wire);
  server.hear(wire);
  EXPECT_EQ(server.read(), "");
  EXPECT_TRUE(server.ended_well());
}

TEST_F(TlsStreamTest, WhatIsHeldBackIsBounded) {
  const std::string tickets = shake_hands();
  send(tickets.substr(0, test::TlsStutterer::first_record(tickets)));
  read();
  const std::string much(1 << 16, 'x');
  std::string wire;
  int taken = 0;
  while (taken < 100 && stream->write(much.data(), much.size(), wire)) ++taken;
  EXPECT_EQ(taken, 4);
}

TEST_F(TlsStreamTest, ASessionIsTakenUpAgainHoweverItsConnectionHasEnded) {
  send(shake_hands());
  EXPECT_EQ(read(), Outcome::kWaiting);
  EXPECT_EQ(stream->session_begun_s(), 0) << "none was offered";
  open();
  send(shake_hands());
  EXPECT_TRUE(stream->resumed());
  EXPECT_NE(stream->session_begun_s(), 0);
}

}  // namespace
}  // namespace lb::tls
