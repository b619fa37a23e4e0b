// Backends of UDP sessions that leave or refuse, listeners that go, and a process short of means.
#include <sys/resource.h>

#include "tests/unit/dataplane/proxy/udp_fixture.hpp"

namespace lb::proxy {
namespace {

using UdpFailoverTest = UdpRelayTest;

// No descriptor can be opened while one lives.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const net::Fd next(dup(0));
    const rlimit none{rlim_t(next.get()), before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(UdpFailoverTest, ASessionMovesWhenItsBackendIsRemoved) {
  const UdpSocket client, leaving, staying;
  serve({leaving.endpoint});
  exchange(client, leaving, "x");
  update({staying.endpoint});
  EXPECT_EQ(counters().moved, 1u);
  EXPECT_EQ(record(leaving.endpoint)->connections, 0u);
  EXPECT_EQ(record(staying.endpoint)->connections, 1u);
  EXPECT_EQ(exchange(client, staying, "y"), "re: y");
  EXPECT_EQ(counters().sessions_opened, 1u);
}

TEST_F(UdpFailoverTest, OnlySessionsOfTheRemovedBackendMove) {
  const std::vector<UdpSocket> clients(6);
  const UdpSocket leaving, staying;
  serve({leaving.endpoint, staying.endpoint});
  for (const auto& client : clients) client.send("x", address_);
  ASSERT_TRUE(reaches(counters().sessions_opened, 6));
  update({staying.endpoint});
  EXPECT_EQ(counters().moved, 3u);
  EXPECT_EQ(record(staying.endpoint)->connections, 6u);
}

TEST_F(UdpFailoverTest, AnAnswerThatHadComeIsPassedOnBeforeASessionMoves) {
  const UdpSocket client, leaving, staying;
  serve({leaving.endpoint});
  client.send("x", address_);
  leaving.send("the last", next(leaving).from);
  update({staying.endpoint});
  EXPECT_EQ(text_at(client), "the last");
}

TEST_F(UdpFailoverTest, WhereVeryManyMoveThoseWhoSpeakGoFirst) {
  std::vector<UdpSocket> clients(1000);
  const UdpSocket leaving, staying;
  serve({leaving.endpoint});
  for (const auto& client : clients) client.send("x", address_);
  ASSERT_TRUE(reaches(counters().sessions_opened, 1000));
  update({staying.endpoint});
  EXPECT_LT(counters().moved, 500u) << "others wait while they move";
  EXPECT_EQ(relay().next_tick(), now_) << "and it asks to go on";
  for (const auto& client : clients) client.send("y", address_);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(text_at(staying), "y") << i;
  EXPECT_TRUE(reaches(counters().moved, 1000));
  EXPECT_GT(relay().next_tick(), now_);
  EXPECT_EQ(record(leaving.endpoint)->connections, 0u);
}

TEST_F(UdpFailoverTest, SessionsThatStillWaitToMoveMayEndOrStay) {
  std::vector<UdpSocket> clients(900);
  const UdpSocket leaving, staying;
  serve({leaving.endpoint});
  for (const auto& client : clients) client.send("x", address_);
  ASSERT_TRUE(reaches(counters().sessions_opened, 900));
  update({staying.endpoint});
  update({staying.endpoint, leaving.endpoint});
  while (relay().poll()) {
  }
  EXPECT_EQ(record(leaving.endpoint)->connections + record(staying.endpoint)->connections, 900u);
  EXPECT_GT(record(leaving.endpoint)->connections, 0u) << "it is back before all have gone";
  update({staying.endpoint});
  now_ += 61'000;
  relay().tick();
  update({});
  relay().reset_everything();
  EXPECT_EQ(relay().sessions(), 0u);
  EXPECT_EQ(counters().sessions_closed, 900u);
}

TEST_F(UdpFailoverTest, SessionsEndWhenTheLastBackendIsRemoved) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  exchange(client, backend, "x");
  update({});
  EXPECT_EQ(relay().sessions(), 0u);
  EXPECT_EQ(counters().moved, 0u);
  update({backend.endpoint});
  EXPECT_EQ(exchange(client, backend, "y"), "re: y");
}

TEST_F(UdpFailoverTest, TheQuestionThatWasRefusedIsAnsweredByAnother) {
  const UdpSocket client, backend;
  const Endpoint closed = closed_port();
  serve({closed, backend.endpoint});
  EXPECT_EQ(exchange(client, backend, "once"), "re: once");
  EXPECT_EQ(counters().refused, 1u);
  EXPECT_EQ(counters().moved, 1u);
  EXPECT_EQ(counters().resent, 1u);
  EXPECT_FALSE(backend.receive()) << "it was sent twice";
  EXPECT_EQ(record(closed)->connections, 0u);
}

TEST_F(UdpFailoverTest, AKnownBackendThatStopsListeningLosesItsSessionWithTheQuestion) {
  const UdpSocket client, backend;
  auto dying = std::make_unique<UdpSocket>("127.0.0.9");
  serve({dying->endpoint, backend.endpoint});
  ASSERT_EQ(exchange(client, *dying, "x"), "re: x");
  dying.reset();
  EXPECT_EQ(exchange(client, backend, "y"), "re: y");
}

TEST_F(UdpFailoverTest, AQuestionIsResentOnlyOnce) {
  const UdpSocket client;
  policy_.ejection.refused = 0;
  serve({closed_port(), closed_port()});
  client.send("x", address_);
  EXPECT_TRUE(reaches(counters().refused, 2));
  EXPECT_EQ(counters().resent, 1u);
  EXPECT_EQ(counters().lost_refused, 1u);
  EXPECT_EQ(relay().sessions(), 1u) << "the client may ask again";
}

TEST_F(UdpFailoverTest, ASingleBackendThatRefusesKeepsItsSession) {
  const UdpSocket client;
  const Endpoint where = closed_port();
  serve({where});
  client.send("lost", address_);
  EXPECT_TRUE(reaches(counters().lost_refused, 1));
  const UdpSocket back(where);
  EXPECT_EQ(exchange(client, back, "again"), "re: again");
  EXPECT_EQ(counters().sessions_opened, 1u);
}

TEST_F(UdpFailoverTest, EveryDatagramAfterARefusalReachesTheNextBackend) {
  const UdpSocket client, backend;
  policy_.ejection.refused = 1;
  serve({closed_port(), backend.endpoint});
  for (int i = 0; i < 50; ++i) client.send(std::to_string(i), address_);
  ASSERT_TRUE(eventually([&] {
    return counters().datagrams_in + counters().refused_twice == 50 && counters().moved == 1;
  }));
  int reached = 0;
  std::string last;
  while (const auto packet = backend.receive()) {
    ++reached;
    last = packet->text;
  }
  EXPECT_GE(reached, 48) << "ICMP may take a moment";
  EXPECT_EQ(last, "49");
}

TEST_F(UdpFailoverTest, RefusalsEjectABackendAndSaySo) {
  const std::vector<UdpSocket> clients(12);
  const UdpSocket backend;
  const Endpoint closed = closed_port();
  serve({closed, backend.endpoint});
  for (const auto& client : clients) {
    ASSERT_EQ(exchange(client, backend, "x"), "re: x") << "no client notices";
  }
  EXPECT_EQ(counters().refused, 3u);
  EXPECT_EQ(counters().ejections, 1u);
  EXPECT_EQ(ejected_, std::vector<Endpoint>{closed});
  EXPECT_TRUE(record(closed)->out());
}

TEST_F(UdpFailoverTest, AnAnswerEndsARowOfRefusals) {
  const UdpSocket client;
  const Endpoint where = closed_port();
  serve({where});
  for (int round = 0; round < 3; ++round) {
    client.send("lost", address_);
    ASSERT_TRUE(reaches(counters().refused, uint64_t(round) + 1));
    const UdpSocket back(where);
    ASSERT_EQ(exchange(client, back, "x"), "re: x");
  }
  EXPECT_EQ(counters().ejections, 0u);
}

TEST_F(UdpFailoverTest, NeverEjectsWhereThePolicySaysSo) {
  const UdpSocket client;
  policy_.ejection.refused = 0;
  serve({closed_port()});
  for (uint64_t i = 1; i <= 5; ++i) {
    client.send("x", address_);
    ASSERT_TRUE(reaches(counters().refused, i));
  }
  EXPECT_EQ(counters().ejections, 0u);
}

TEST_F(UdpFailoverTest, UsesAnEjectedBackendWhenNobodyElseIsLeft) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  record(backend.endpoint)->ejected = Ejection::kRefused;
  EXPECT_EQ(exchange(client, backend, "x"), "re: x");
}

TEST_F(UdpFailoverTest, DropsNewClientsWhileThereIsNoDescriptorAndServesTheOthers) {
  const UdpSocket known, fresh, backend;
  serve({backend.endpoint});
  exchange(known, backend, "x");
  {
    const NoDescriptors none;
    fresh.send("lost", address_);
    EXPECT_TRUE(reaches(counters().own_wants, 1));
    EXPECT_EQ(exchange(known, backend, "y"), "re: y");
    EXPECT_FALSE(relay().poll()) << "it spins";
  }
  pass_time(100);  // what this host has no more of is not asked for again before
  EXPECT_EQ(exchange(fresh, backend, "now"), "re: now");
}

TEST_F(UdpFailoverTest, MovesEvenWithoutADescriptorToSpare) {
  const UdpSocket client, leaving, staying;
  serve({leaving.endpoint});
  exchange(client, leaving, "x");
  const auto next_config = config({staying.endpoint});
  {
    const NoDescriptors none;
    relay().update_listener(next_config);
  }
  EXPECT_EQ(counters().moved, 1u);
  EXPECT_EQ(exchange(client, staying, "y"), "re: y");
}

TEST_F(UdpFailoverTest, ARemovedListenerEndsItsSessionsAndFreesItsPort) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  exchange(client, backend, "x");
  EXPECT_FALSE(probe_udp_port(address_, false).ok());
  relay().remove_listener(address_);
  EXPECT_EQ(relay().sessions(), 0u);
  EXPECT_EQ(counts_->connections, 0u);
  EXPECT_TRUE(probe_udp_port(address_, false).ok());
}

TEST_F(UdpFailoverTest, WhatWasInTheQueueOfARemovedListenerIsPassedOn) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  client.send("x", address_);
  relay().remove_listener(address_);
  EXPECT_EQ(text_at(backend), "x");
}

TEST_F(UdpFailoverTest, ARemovedListenerServesItsSessionsWhileItDrains) {
  const UdpSocket client, fresh, backend;
  policy_.delete_drain_s = 5;
  serve({backend.endpoint});
  exchange(client, backend, "x");
  relay().remove_listener(address_);
  EXPECT_EQ(exchange(client, backend, "y"), "re: y");
  fresh.send("too late", address_);
  EXPECT_TRUE(reaches(counters().closing, 1));
  pass_time(5'020);
  EXPECT_EQ(relay().sessions(), 0u);
  EXPECT_EQ(counters().drain_ends, 1u);
  EXPECT_TRUE(probe_udp_port(address_, false).ok());
}

TEST_F(UdpFailoverTest, AListenerThatComesBackTakesItsSessionsOver) {
  const UdpSocket client, fresh, backend;
  policy_.delete_drain_s = 5;
  serve({backend.endpoint});
  exchange(client, backend, "x");
  relay().remove_listener(address_);
  auto again = open_udp_listener(address_, false);
  ASSERT_TRUE(again.ok());
  relay().add_listener(std::move(again).value(), config({backend.endpoint}));
  pass_time(10'000);
  EXPECT_EQ(exchange(client, backend, "y"), "re: y");
  EXPECT_EQ(exchange(fresh, backend, "z"), "re: z");
  EXPECT_EQ(counters().sessions_opened, 2u);
}

TEST_F(UdpFailoverTest, ADrainEndsAtItsDeadline) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  exchange(client, backend, "x");
  relay().drain(2'000);
  EXPECT_EQ(exchange(client, backend, "y"), "re: y");
  EXPECT_LE(relay().next_tick(), now_ + 2'020);
  pass_time(2'020);
  EXPECT_EQ(relay().sessions(), 0u);
  EXPECT_EQ(counts_->stats.at(0)->ended[size_t(EndReason::kDrained)], 1u);
}

TEST_F(UdpFailoverTest, ADrainOfNothingIsOverAtOnce) {
  serve({closed_port()});
  relay().drain(60'000);
  EXPECT_EQ(relay().next_tick(), UINT64_MAX);
  EXPECT_TRUE(probe_udp_port(address_, false).ok());
}

TEST_F(UdpFailoverTest, AStopEndsWhatStillDrains) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  exchange(client, backend, "x");
  relay().drain(60'000);
  relay().reset_everything();
  EXPECT_EQ(relay().sessions(), 0u);
  EXPECT_EQ(record(backend.endpoint)->connections, 0u);
}

}  // namespace
}  // namespace lb::proxy
