// Policies of a service with TLS on both sides, and what happens while a backend agrees on keys.
#include <algorithm>

#include "tests/unit/dataplane/proxy/tls_backend_fixture.hpp"

namespace lb::proxy {
namespace {

using namespace std::string_literals;

class TlsBackendPoliciesTest : public TlsBackendTest {
 protected:
  // A client whose backend has been connected, and says nothing.
  struct Stalled {
    Asker client;
    Fd backend;
  };
  Stalled stall(const std::string& question = "") {
    Stalled out{ask(question), server_.accept_one()};
    EXPECT_TRUE(eventually([this] {
      const auto now = flows();
      return now.size() == 1 && now[0].phase == FlowPhase::kSecuringBackend;
    }));
    return out;
  }
  // Two backends of which the first that is asked is `first`.
  struct InTurn {
    Server* first;
    Server* second;
  };
  InTurn whoever_is_asked_first() {
    const int at = wait_for_one_of(server_.fd.get(), other_.fd.get());
    return at == 0 ? InTurn{&server_, &other_} : InTurn{&other_, &server_};
  }
  // A client that has asked, and two backends of which the second will be dialled beside the first.
  struct Hedged : InTurn {
    Asker client;
  };
  Hedged hedge() {
    policy_.hedge_ms = 500;  // long enough to see who is first
    policy_.connect_timeout_ms = 60'000;
    serve_with({server_.port, other_.port});
    Asker client = ask("question");
    return {whoever_is_asked_first(), std::move(client)};
  }

  Server other_;
  test::TlsServerContext context_ = good_server();
};

TEST_F(TlsBackendPoliciesTest, TheHeaderForTheBackendGoesAheadOfTlsInPlain) {
  for (const auto version : {ProxyProtocol::kV1, ProxyProtocol::kV2}) {
    SCOPED_TRACE(to_string(version));
    policy_.proxy_protocol = version;
    serve_tls();
    const Asker client = ask();
    Answerer backend = answer(server_, context_, false);
    if (version == ProxyProtocol::kV1) {
      std::string header;
      while (header.find('\n') == std::string::npos) header += read_some(backend.fd, 1);
      EXPECT_EQ(header.substr(0, 11), "PROXY TCP4 ");
    } else {
      EXPECT_EQ(read_some(backend.fd, 28).substr(0, 5), "\r\n\r\n\0"s);
    }
    ASSERT_TRUE(backend.tls->shake_hands());
    expect_talk(client, backend);
  }
}

TEST_F(TlsBackendPoliciesTest, AClientThatHasEndedMeanwhileStillGetsItsAnswer) {
  serve_tls();
  Stalled both = stall("question");
  both.client.tls->finish();
  shutdown(both.client.fd.get(), SHUT_WR);
  test::TlsServer tls(both.backend.get(), context_);
  ASSERT_TRUE(tls.shake_hands());
  EXPECT_EQ(tls.read_to_end(), "question");
  EXPECT_TRUE(tls.ended_well());
  ASSERT_TRUE(tls.write("answer"));
  tls.finish();
  EXPECT_EQ(both.client.tls->read_to_end(), "answer");
  expect_ended(EndReason::kClientFin);
}

TEST_F(TlsBackendPoliciesTest, AClientThatLeavesMeanwhileTakesItsDialAlong) {
  serve_tls();
  Stalled both = stall();
  reset(both.client.fd);
  read_all(both.backend.get());
  expect_ended(EndReason::kClientGone);
  EXPECT_EQ(counters().backend_tls_failures, 0u);
}

TEST_F(TlsBackendPoliciesTest, ItMayBeKilledMeanwhile) {
  serve_tls();
  const Stalled both = stall();
  EXPECT_TRUE(kill(flows().at(0).id));
  read_all(both.backend.get());
  EXPECT_EQ(both.client.tls->read(1), "");
  expect_ended(EndReason::kKilled);
}

TEST_F(TlsBackendPoliciesTest, ADrainEndsItMeanwhile) {
  serve_tls();
  const Stalled both = stall();
  drain(10);
  read_all(both.backend.get());
  EXPECT_EQ(both.client.tls->read(1), "");
}

TEST_F(TlsBackendPoliciesTest, NothingMovingEndsItAsWithoutTls) {
  policy_.idle_timeout_s = 1;
  serve_tls();
  const Asker client = ask();
  const Answerer backend = answer(server_, context_);
  expect_talk(client, backend);
  EXPECT_EQ(client.tls->read(1), "");
  expect_ended(EndReason::kIdle);
}

TEST_F(TlsBackendPoliciesTest, APlaceIsGivenBackWhenAHandshakeHasFailed) {
  policy_.max_connections = 1;
  serve_tls();
  Stalled both = stall();
  EXPECT_FALSE(test::TlsClient(dial(port_).get()).shake_hands());
  both.backend.reset();
  EXPECT_TRUE(eventually([this] { return counters().active == 0; }));
  EXPECT_EQ(port_status().backends.at(0).connections, 0u);
  const Asker next = ask();
  expect_talk(next, answer(server_, context_));
}

// By a reset, by a FIN, by an end in order.
TEST_F(TlsBackendPoliciesTest, WhatTheClientHasSaidIsSaidAgainToAnotherBackend) {
  policy_.retry_before_first_byte = true;
  policy_.ejection = {.refused = 0, .timeouts = 0, .seconds = 1};
  serve_with({server_.port, other_.port});
  for (int how = 0; how < 3; ++how) {
    SCOPED_TRACE(how);
    const Asker client = ask("question");
    const InTurn turn = whoever_is_asked_first();
    Answerer failing = answer(*turn.first, context_);
    EXPECT_EQ(failing.tls->read(8), "question");
    if (how == 0) reset(failing.fd);
    if (how == 2) failing.tls->finish();
    failing.fd.reset();
    const Answerer backend = answer(*turn.second, context_);
    EXPECT_EQ(backend.tls->read(8), "question");
    ASSERT_TRUE(backend.tls->write("answer"));
    EXPECT_EQ(client.tls->read(6), "answer");
    expect_talk(client, backend);
  }
  EXPECT_EQ(counters().replays, 3u);
}

TEST_F(TlsBackendPoliciesTest, SoIsItsEnd) {
  policy_.retry_before_first_byte = true;
  serve_with({server_.port, other_.port});
  const Asker client = ask("question");
  client.tls->finish();
  const InTurn turn = whoever_is_asked_first();
  Answerer failing = answer(*turn.first, context_);
  EXPECT_EQ(failing.tls->read_to_end(), "question");
  reset(failing.fd);
  Answerer backend = answer(*turn.second, context_);
  EXPECT_EQ(backend.tls->read_to_end(), "question");
  EXPECT_TRUE(backend.tls->ended_well());
  ASSERT_TRUE(backend.tls->write("answer"));
  backend.tls->finish();
  EXPECT_EQ(client.tls->read_to_end(), "answer");
  EXPECT_TRUE(client.tls->ended_well());
}

TEST_F(TlsBackendPoliciesTest, AfterAReplayAHandshakeThatFailsIsTriedElsewhereToo) {
  policy_.retry_before_first_byte = true;
  Server third;
  serve_with({server_.port, other_.port, third.port});
  const Asker client = ask("question");
  std::vector<Server*> left{&server_, &other_, &third};
  const auto next = [&left] {
    std::vector<pollfd> all;
    for (const Server* each : left) all.push_back({each->fd.get(), POLLIN, 0});
    EXPECT_GT(poll(all.data(), all.size(), 5000), 0);
    size_t at = 0;
    while (at + 1 < all.size() && (all[at].revents & POLLIN) == 0) ++at;
    Server* out = left[at];
    left.erase(left.begin() + long(at));
    return out;
  };
  Answerer failing = answer(*next(), context_);
  EXPECT_EQ(failing.tls->read(8), "question");
  reset(failing.fd);
  next()->accept_one().reset();
  const Answerer backend = answer(*next(), context_);
  EXPECT_EQ(backend.tls->read(8), "question");
  expect_talk(client, backend);
}

TEST_F(TlsBackendPoliciesTest, ASecondDialWinsOverAHandshakeThatStalls) {
  const Hedged turn = hedge();
  const Fd stalled = turn.first->accept_one();
  const Answerer backend = answer(*turn.second, context_);
  EXPECT_EQ(backend.tls->read(8), "question");
  expect_talk(turn.client, backend);
  EXPECT_EQ(counters().hedges_won, 1u);
  EXPECT_EQ(counters().backend_tls_timeouts, 1u);
  EXPECT_EQ(port_status().connections, 1u);
}

TEST_F(TlsBackendPoliciesTest, TheFirstMayStillWin) {
  const Hedged turn = hedge();
  const Fd first = turn.first->accept_one();
  Fd second = turn.second->accept_one();
  test::TlsServer tls(first.get(), context_);
  ASSERT_TRUE(tls.shake_hands());
  EXPECT_EQ(tls.read(8), "question");
  read_all(second.get());
  EXPECT_EQ(counters().hedges_won, 0u);
  EXPECT_EQ(counters().backend_tls_failures, 0u);
}

// The second takes the first one's place, its handshake half done.
TEST_F(TlsBackendPoliciesTest, WhereTheFirstFailsTheSecondGoesOn) {
  const Hedged turn = hedge();
  Fd first = turn.first->accept_one();
  const Fd second = turn.second->accept_one();
  pollfd hello{second.get(), POLLIN, 0};
  ASSERT_EQ(poll(&hello, 1, 5000), 1);
  reset(first);
  ASSERT_TRUE(eventually([this] { return counters().backend_tls_failures == 1; }));
  test::TlsServer tls(second.get(), context_);
  ASSERT_TRUE(tls.shake_hands());
  EXPECT_EQ(tls.read(8), "question");
}

TEST_F(TlsBackendPoliciesTest, ASecondDialThatFailsLeavesTheFirstAlone) {
  const Hedged turn = hedge();
  const Fd first = turn.first->accept_one();
  Fd second = turn.second->accept_one();
  write_all(second.get(), "no TLS at all, but a few words\r\n");
  ASSERT_TRUE(eventually([this] { return counters().backend_tls_failures == 1; }));
  test::TlsServer tls(first.get(), context_);
  ASSERT_TRUE(tls.shake_hands());
  EXPECT_EQ(tls.read(8), "question");
  EXPECT_EQ(counters().hedges_won, 0u);
}

TEST_F(TlsBackendPoliciesTest, ABackendThatIsCalledDownMeanwhileIsLeftForAnother) {
  policy_.connect_timeout_ms = 60'000;
  serve_with({server_.port, other_.port});
  const Asker client = ask("question");
  const InTurn turn = whoever_is_asked_first();
  const Fd stalled = turn.first->accept_one();
  set_health(turn.first->port, Health::kDown);
  const Answerer backend = answer(*turn.second, context_);
  EXPECT_EQ(backend.tls->read(8), "question");
  EXPECT_EQ(counters().backend_tls_failures, 0u);
}

// Established connections keep what they have.
TEST_F(TlsBackendPoliciesTest, AChangeToPlainHoldsForTheNextConnection) {
  serve_tls();
  const Asker before = ask();
  const Answerer old = answer(server_, context_);
  tls_.backend.reset();
  serve_tls();
  expect_talk(before, old);
  const Asker after = ask("question");
  const Fd plain = server_.accept_one();
  EXPECT_EQ(read_some(plain, 8), "question");
}

}  // namespace
}  // namespace lb::proxy
