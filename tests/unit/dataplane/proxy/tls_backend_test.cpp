// TLS on both sides: what of the bytes and ends arrives, and what is agreed on with backends.
#include <openssl/ssl.h>

#include "tests/support/tls_stutterer.hpp"
#include "tests/unit/dataplane/proxy/tls_backend_fixture.hpp"

namespace lb::proxy {
namespace {

std::string many_bytes(size_t size, unsigned seed) {
  std::string out(size, '\0');
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<char>((i + seed) * 131 >> 3);
  return out;
}

class TlsBackendPathTest : public TlsBackendTest {
 protected:
  // Both ends of a connection.
  struct Both {
    Asker client;
    Answerer backend;
  };
  Both connect_both(const test::TlsClientOptions& options = {.server_name = "a.test"}) {
    Both out;
    out.client = ask("", options);
    out.backend = answer(server_, context_);
    return out;
  }

  // What a counter has come to once it was seen to be the same many times.
  uint64_t where_it_stands_still(uint64_t DataPathCounters::*counter) {
    uint64_t last = 0;
    int same = 0;
    EXPECT_TRUE(eventually([&] {
      const uint64_t now = counters().*counter;
      same = now != 0 && now == last ? same + 1 : 0;
      last = now;
      return same == 2000;
    }));
    return last;
  }

  // Of 32 MiB not all leaves `from` before `to` reads, and nothing of them is lost.
  void expect_held_back(test::TlsEnd& from, test::TlsEnd& to, uint64_t DataPathCounters::*moved) {
    const std::string sent = many_bytes(32 << 20, 3);
    std::thread sender([&] {
      EXPECT_TRUE(from.write(sent));
      from.finish();
    });
    EXPECT_LT(where_it_stands_still(moved), sent.size() / 4 * 3);
    EXPECT_EQ(to.read(sent.size()), sent);
    EXPECT_EQ(to.read_to_end(), "");
    EXPECT_TRUE(to.ended_well());
    sender.join();
  }

  test::TlsServerContext context_ = good_server();
};

TEST_F(TlsBackendPathTest, BytesGoThroughAndTheBackendIsAskedForByName) {
  ASSERT_TRUE(serve_tls().empty());
  const Both both = connect_both();
  expect_talk(both.client, both.backend);
  EXPECT_EQ(both.backend.tls->server_name(), "web.internal");
  EXPECT_EQ(counters().backend_tls_handshakes, 1u);
  EXPECT_EQ(counters().bytes_in, 8u) << "what was said, not what TLS makes of it";
  EXPECT_TRUE(eventually([this] { return counters().bytes_out == 6; }));
}

TEST_F(TlsBackendPathTest, SoTheyDoWithTls12) {
  context_ = server({.max_version = TLS1_2_VERSION});
  serve_tls();
  const Both both = connect_both();
  expect_talk(both.client, both.backend);
}

TEST_F(TlsBackendPathTest, MegabytesArriveAsTheyWereBothWaysAtOnce) {
  serve_tls();
  const Both both = connect_both();
  const std::string up = many_bytes(8 << 20, 0), down = many_bytes(8 << 20, 7);
  // Each end of TLS is of one thread, so they take turns in pieces.
  std::thread backend([&] {
    for (size_t at = 0; at < up.size(); at += 1 << 16) {
      EXPECT_TRUE(both.backend.tls->write(down.substr(at, 1 << 16)));
      ASSERT_EQ(both.backend.tls->read(1 << 16), up.substr(at, 1 << 16));
    }
  });
  for (size_t at = 0; at < up.size(); at += 1 << 16) {
    EXPECT_TRUE(both.client.tls->write(up.substr(at, 1 << 16)));
    ASSERT_EQ(both.client.tls->read(1 << 16), down.substr(at, 1 << 16));
  }
  backend.join();
}

TEST_F(TlsBackendPathTest, ABackendThatIsReadSlowlyIsHeldBackAndLosesNothing) {
  serve_tls();
  const Both both = connect_both();
  expect_held_back(*both.backend.tls, *both.client.tls, &DataPathCounters::bytes_out);
}

TEST_F(TlsBackendPathTest, AClientIsHeldBackByABackendThatReadsSlowly) {
  serve_tls();
  const Both both = connect_both();
  expect_held_back(*both.client.tls, *both.backend.tls, &DataPathCounters::bytes_in);
}

TEST_F(TlsBackendPathTest, WhatTheClientSaidEarlyWaitsForTheBackendsHandshake) {
  serve_tls();
  const Asker client = ask("early");
  const Answerer backend = answer(server_, context_);
  EXPECT_EQ(backend.tls->read(5), "early");
}

TEST_F(TlsBackendPathTest, TheClientsEndIsToldInTlsAndTheAnswerStillComes) {
  serve_tls();
  Both both = connect_both();
  ASSERT_TRUE(both.client.tls->write("last"));
  both.client.tls->finish();
  EXPECT_EQ(both.backend.tls->read_to_end(), "last");
  EXPECT_TRUE(both.backend.tls->ended_well());
  ASSERT_TRUE(both.backend.tls->write("answer"));
  both.backend.tls->finish();
  EXPECT_EQ(both.client.tls->read_to_end(), "answer");
  EXPECT_TRUE(both.client.tls->ended_well());
  expect_ended(EndReason::kClientFin);
  EXPECT_EQ(counters().backend_tls_cut_off, 0u);
}

TEST_F(TlsBackendPathTest, TheBackendsEndIsToldAndTheClientMayGoOn) {
  serve_tls();
  const Both both = connect_both();
  ASSERT_TRUE(both.backend.tls->write("bye"));
  both.backend.tls->finish();
  EXPECT_EQ(both.client.tls->read_to_end(), "bye");
  EXPECT_TRUE(both.client.tls->ended_well());
  ASSERT_TRUE(both.client.tls->write("still here"));
  both.client.tls->finish();
  EXPECT_EQ(both.backend.tls->read_to_end(), "still here");
  expect_ended(EndReason::kBackendFin);
}

TEST_F(TlsBackendPathTest, WithoutHalfCloseBothAreToldInTls) {
  policy_.half_close = false;
  serve_tls();
  const Both both = connect_both();
  ASSERT_TRUE(both.client.tls->write("x"));
  EXPECT_EQ(both.backend.tls->read(1), "x");
  both.client.tls->finish();
  EXPECT_EQ(both.backend.tls->read_to_end(), "");
  EXPECT_TRUE(both.backend.tls->ended_well());
  EXPECT_EQ(both.client.tls->read_to_end(), "");
  EXPECT_TRUE(both.client.tls->ended_well());
}

// A part of an answer must not be taken for all of it.
TEST_F(TlsBackendPathTest, ABackendThatOnlyHangsUpIsCountedAndItsClientIsNotToldThatThisWasAll) {
  serve_tls();
  Both both = connect_both();
  ASSERT_TRUE(both.backend.tls->write("half"));
  shutdown(both.backend.fd.get(), SHUT_WR);
  EXPECT_EQ(both.client.tls->read_to_end(), "half");
  EXPECT_FALSE(both.client.tls->ended_well());
  EXPECT_TRUE(eventually([this] { return counters().backend_tls_cut_off == 1; }));
  EXPECT_EQ(counters().tls_cut_off, 0u);
}

TEST_F(TlsBackendPathTest, NorIsABackendWhoseClientOnlyHangsUp) {
  serve_tls();
  Both both = connect_both();
  ASSERT_TRUE(both.client.tls->write("half"));
  shutdown(both.client.fd.get(), SHUT_WR);
  EXPECT_EQ(both.backend.tls->read_to_end(), "half");
  EXPECT_FALSE(both.backend.tls->ended_well());
  EXPECT_TRUE(eventually([this] { return counters().tls_cut_off == 1; }));
  EXPECT_EQ(counters().backend_tls_cut_off, 0u);
}

TEST_F(TlsBackendPathTest, AResetOfEitherSideReachesTheOther) {
  serve_tls();
  for (const bool of_client : {true, false}) {
    SCOPED_TRACE(of_client);
    Both both = connect_both();
    expect_talk(both.client, both.backend);
    reset(of_client ? both.client.fd : both.backend.fd);
    EXPECT_TRUE(is_reset(of_client ? both.backend.fd : both.client.fd));
  }
  EXPECT_TRUE(eventually([this] { return ended(EndReason::kClientReset) == 1; }));
  EXPECT_TRUE(eventually([this] { return ended(EndReason::kBackendReset) == 1; }));
}

// OpenSSL says nothing between the parts of a message; neither words nor ends may be lost over
// that.
TEST_F(TlsBackendPathTest, WhatAClientSaysWhileATicketIsHalfHereArrivesWithItsEnd) {
  serve_tls();
  const Asker client = ask();
  const Fd backend = server_.accept_one();
  test::TlsStutterer tls(certificate_for("web.internal"));
  const auto hear = [&] {
    char text[4096];
    const ssize_t got = recv(backend.get(), text, sizeof text, 0);
    tls.hear(std::string(text, size_t(std::max<ssize_t>(got, 0))));
    return got > 0;
  };
  while (hear() && !tls.shake_hands()) write_all(backend.get(), tls.take_said());
  const std::string tickets = tls.take_said();
  const size_t part = test::TlsStutterer::first_record(tickets);
  ASSERT_LT(part, tickets.size());
  write_all(backend.get(), tickets.substr(0, part));
  ASSERT_TRUE(client.tls->write("last words"));
  client.tls->finish();
  ASSERT_TRUE(eventually([this] { return counters().bytes_in == 10; }));
  write_all(backend.get(), tickets.substr(part));
  while (hear()) {
  }
  EXPECT_EQ(tls.read(), "last words");
  EXPECT_EQ(tls.read(), "");
  EXPECT_TRUE(tls.ended_well());
}

TEST_F(TlsBackendPathTest, NewKeysOfTheBackendAreAnswered) {
  serve_tls();
  const Both both = connect_both();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(both.backend.tls->change_keys());
    expect_talk(both.client, both.backend);
  }
}

TEST_F(TlsBackendPathTest, ABackendThatOnlyChangesKeysIsReset) {
  serve_tls();
  Both both = connect_both();
  ASSERT_TRUE(both.backend.tls->write("x"));
  EXPECT_EQ(both.client.tls->read(1), "x");
  for (int i = 0; i < 40 && both.backend.tls->change_keys(); ++i) {
  }
  EXPECT_EQ(both.client.tls->read_to_end(), "");
  expect_ended(EndReason::kBackendReset);
}

TEST_F(TlsBackendPathTest, ManyRecordsOfOneByteArriveInOrder) {
  serve_tls();
  const Both both = connect_both();
  std::string sent;
  for (int i = 0; i < 20000; ++i) sent += char('a' + i % 26);
  std::thread backend([&] {
    for (const char each : sent) EXPECT_TRUE(both.backend.tls->write(std::string(1, each)));
  });
  EXPECT_EQ(both.client.tls->read(sent.size()), sent);
  backend.join();
}

TEST_F(TlsBackendPathTest, TheProtocolThatTheClientHasIsOfferedAndNoOther) {
  tls_.alpn = {"h2", "http/1.1"};
  context_ = server({.alpn = {"http/1.1", "h2"}});
  serve_tls();
  for (const std::string each : {"h2", "http/1.1"}) {
    const Both both = connect_both({.server_name = "a.test", .alpn = {each}});
    EXPECT_EQ(both.client.tls->protocol(), each);
    EXPECT_EQ(both.backend.tls->protocol(), each);
    EXPECT_EQ(both.backend.tls->offered(), static_cast<char>(each.size()) + each);
    expect_talk(both.client, both.backend);
  }
}

TEST_F(TlsBackendPathTest, WithoutOneNoneIsOffered) {
  tls_.alpn = {"h2"};
  serve_tls();
  const Both both = connect_both();
  EXPECT_EQ(both.backend.tls->offered(), "");
}

// RFC 7301, section 3.1: a server may pass over what is offered.
TEST_F(TlsBackendPathTest, ABackendThatPicksNoneIsTakenAtItsWord) {
  tls_.alpn = {"h2"};
  serve_tls();
  const Both both = connect_both({.server_name = "a.test", .alpn = {"h2"}});
  EXPECT_EQ(both.backend.tls->protocol(), "");
  expect_talk(both.client, both.backend);
}

TEST_F(TlsBackendPathTest, ASessionIsTakenUpAgainButNotUnderOtherTerms) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    SCOPED_TRACE(version);
    context_ = server({.max_version = version});
    put("ca", {authority().certificate, ""});
    serve_tls();
    const uint64_t before = counters().backend_tls_resumed;
    const Both first = connect_both();
    EXPECT_FALSE(first.backend.tls->resumed());
    expect_talk(first.client, first.backend);
    const Both second = connect_both();
    EXPECT_TRUE(second.backend.tls->resumed());
    expect_talk(second.client, second.backend);
    EXPECT_EQ(counters().backend_tls_resumed, before + 1);
    put("ca", {authority().certificate, ""});
    serve_tls();
    EXPECT_FALSE(connect_both().backend.tls->resumed());
  }
}

}  // namespace
}  // namespace lb::proxy
