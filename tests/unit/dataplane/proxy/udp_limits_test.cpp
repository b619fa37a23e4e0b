// How many UDP sessions there may be, of a service and of a source, and what becomes of the others.
#include "dataplane/proxy/worker.hpp"
#include "tests/unit/dataplane/proxy/udp_fixture.hpp"

namespace lb::proxy {
namespace {

class UdpLimitsTest : public UdpRelayTest {
 protected:
  // One datagram of each; returns how many sessions there are once all have been judged.
  size_t come(const std::vector<UdpSocket>& clients) {
    const uint64_t judged = counters().sessions_opened + counters().limit_refused;
    for (const auto& client : clients) client.send("x", address_);
    EXPECT_TRUE(eventually([&] {
      return counters().sessions_opened + counters().limit_refused == judged + clients.size();
    }));
    return relay().sessions();
  }
  uint64_t refused_of_port(Refusal rule) {
    return counts_->stats.at(0)->refused[static_cast<size_t>(rule)];
  }
  uint64_t ended_of_port(EndReason how) {
    return counts_->stats.at(0)->ended[static_cast<size_t>(how)];
  }
  void expect_nobody_is_counted(const std::string& source) {
    EXPECT_EQ(counts_->connections, 0u);
    EXPECT_EQ(limits_->connections(at(source, 0).address), 0u);
    EXPECT_EQ(limits_->counts().unmatched_leaves, 0u);
  }
};

TEST_F(UdpLimitsTest, AboveTheServicesLimitNewClientsAreDroppedAndCounted) {
  const std::vector<UdpSocket> clients(5);
  const UdpSocket backend;
  policy_.max_connections = 2;
  serve({backend.endpoint});
  EXPECT_EQ(come(clients), 2u);
  EXPECT_EQ(counters().limit_refused, 3u);
  EXPECT_EQ(refused_of_port(Refusal::kConnections), 3u);
  EXPECT_EQ(counters().datagrams_in, 2u);
}

TEST_F(UdpLimitsTest, AtTheLimitThoseWhoAreKnownAreServed) {
  const UdpSocket known, other, backend;
  policy_.max_connections = 1;
  serve({backend.endpoint});
  exchange(known, backend, "x");
  other.send("too many", address_);
  EXPECT_TRUE(reaches(counters().limit_refused, 1));
  EXPECT_EQ(exchange(known, backend, "y"), "re: y");
}

TEST_F(UdpLimitsTest, WhenASessionEndsAnotherMayCome) {
  const UdpSocket first, second, backend;
  policy_.max_connections = 1;
  serve({backend.endpoint});
  exchange(first, backend, "x");
  pass_time(61'000);
  EXPECT_EQ(exchange(second, backend, "y"), "re: y");
}

TEST_F(UdpLimitsTest, EveryDatagramOfARefusedClientIsCounted) {
  const UdpSocket known, other, backend;
  policy_.max_connections = 1;
  serve({backend.endpoint});
  exchange(known, backend, "x");
  for (int i = 0; i < 7; ++i) other.send("x", address_);
  EXPECT_TRUE(reaches(counters().limit_refused, 7));
}

TEST_F(UdpLimitsTest, ASessionThatWasNeverAnsweredMakesRoomForANewClient) {
  hooks_.session_limit = 2;
  const UdpSocket first, second, third, backend;
  serve({backend.endpoint});
  first.send("a", address_);
  EXPECT_EQ(text_at(backend), "a");
  exchange(second, backend, "b");
  EXPECT_EQ(exchange(third, backend, "c"), "re: c");
  EXPECT_EQ(counters().evicted, 1u);
  EXPECT_EQ(ended_of_port(EndReason::kExhausted), 1u);
  EXPECT_EQ(exchange(second, backend, "d"), "re: d");
  EXPECT_EQ(counters().sessions_opened, 3u) << "who was answered stays";
}

TEST_F(UdpLimitsTest, WhereAllWereAnsweredANewClientIsRefused) {
  hooks_.session_limit = 2;
  const UdpSocket first, second, third, backend;
  serve({backend.endpoint});
  exchange(first, backend, "a");
  exchange(second, backend, "b");
  third.send("c", address_);
  EXPECT_TRUE(reaches(counters().session_limit, 1));
  EXPECT_EQ(counters().evicted, 0u);
  EXPECT_EQ(relay().sessions(), 2u);
}

TEST_F(UdpLimitsTest, AListenerThatTakesAllSessionsOfAWorkerMakesRoomForAnother) {
  hooks_.worker_limit = 6;
  const std::vector<UdpSocket> flood(8);
  const UdpSocket client, other_client, silent, backend;
  serve({silent.endpoint});
  for (const auto& each : flood) each.send("x", address_);
  EXPECT_TRUE(reaches(counters().evicted, 2));
  serve_at("127.0.0.2", {backend.endpoint});
  EXPECT_EQ(exchange(client, backend, "q"), "re: q");
  EXPECT_EQ(exchange(other_client, backend, "q"), "re: q");
  EXPECT_EQ(counters().evicted, 4u);
  EXPECT_EQ(counters().session_limit, 0u);
  EXPECT_EQ(exchange(client, backend, "again"), "re: again") << "the flood does not evict it";
}

TEST_F(UdpLimitsTest, AClientAboveItsServicesLimitEndsNobodysSession) {
  hooks_.worker_limit = 2;
  const UdpSocket first, second, third, backend;
  policy_.max_connections = 2;
  serve({backend.endpoint});
  for (const auto* client : {&first, &second}) {
    client->send("a", address_);
    EXPECT_EQ(text_at(backend), "a");
  }
  third.send("b", address_);
  EXPECT_TRUE(reaches(counters().limit_refused, 1));
  EXPECT_EQ(counters().evicted, 0u);
}

TEST_F(UdpLimitsTest, NoSessionIsIdleForMoreThanADay) {
  const UdpSocket client, backend;
  policy_.udp_idle_s = 31'536'000;
  serve({backend.endpoint});
  exchange(client, backend, "x");
  pass_time(86'399'000);
  EXPECT_EQ(relay().sessions(), 1u);
  pass_time(2'000);
  EXPECT_EQ(relay().sessions(), 0u);
}

// IPv4 and IPv6.
class UdpSourceLimitsTest : public UdpLimitsTest, public testing::WithParamInterface<std::string> {
 protected:
  std::vector<UdpSocket> clients(size_t count) {
    std::vector<UdpSocket> out;
    for (size_t i = 0; i < count; ++i) out.emplace_back(GetParam());
    return out;
  }
};
INSTANTIATE_TEST_SUITE_P(Families, UdpSourceLimitsTest, testing::Values("127.0.0.1", "::1"));

TEST_P(UdpSourceLimitsTest, AllPortsOfAnAddressAreOneSource) {
  const UdpSocket backend(GetParam());
  policy_.max_connections_per_source = 3;
  serve_at(GetParam(), {backend.endpoint});
  EXPECT_EQ(come(clients(5)), 3u);
  EXPECT_EQ(counters().limit_refused, 2u);
  EXPECT_EQ(refused_of_port(Refusal::kSource), 2u);
  pass_time(61'000);
  EXPECT_EQ(come(clients(5)), 3u);
}

TEST_P(UdpSourceLimitsTest, NewSessionsAboveTheRateAreDropped) {
  const UdpSocket backend(GetParam());
  policy_.max_rate_per_source = 4;
  serve_at(GetParam(), {backend.endpoint});
  EXPECT_EQ(come(clients(10)), 4u);
  EXPECT_EQ(counters().limit_refused, 6u);
  EXPECT_EQ(refused_of_port(Refusal::kRate), 6u);
  now_ += 500;
  EXPECT_EQ(come(clients(10)), 6u) << "half of the bucket is full again";
}

TEST_P(UdpSourceLimitsTest, WhoeverIsNotServedIsNotCounted) {
  const auto client = clients(1);
  policy_.max_connections = 1;
  policy_.max_connections_per_source = 1;
  serve_at(GetParam(), {});
  client[0].send("x", address_);
  EXPECT_TRUE(reaches(counters().no_backend, 1));
  expect_nobody_is_counted(GetParam());
}

TEST_P(UdpSourceLimitsTest, ASessionIsTakenOffWhereItWasCountedWhateverThePolicySaysThen) {
  const auto client = clients(1);
  const UdpSocket backend(GetParam());
  policy_.max_connections_per_source = 1;
  serve_at(GetParam(), {backend.endpoint});
  exchange(client[0], backend, "x");
  policy_.max_connections_per_source = 0;
  update({backend.endpoint});
  relay().remove_listener(address_);
  expect_nobody_is_counted(GetParam());
}

TEST_P(UdpSourceLimitsTest, ASessionFromBeforeALimitDoesNotUpsetIt) {
  const auto client = clients(1);
  const UdpSocket backend(GetParam());
  serve_at(GetParam(), {backend.endpoint});
  exchange(client[0], backend, "x");
  policy_.max_connections_per_source = 1;
  update({backend.endpoint});
  relay().remove_listener(address_);
  expect_nobody_is_counted(GetParam());
}

TEST_F(UdpLimitsTest, KnownClientsAreNotHeldToTheRate) {
  const UdpSocket client, backend;
  policy_.max_rate_per_source = 1;
  serve({backend.endpoint});
  for (int i = 0; i < 10; ++i) ASSERT_EQ(exchange(client, backend, "x"), "re: x") << i;
}

TEST_F(UdpLimitsTest, AnotherSourceHasItsOwnShare) {
  const std::vector<UdpSocket> clients(2);
  const UdpSocket other("127.0.0.7"), backend;
  policy_.max_connections_per_source = 1;
  serve({backend.endpoint});
  EXPECT_EQ(come(clients), 1u);
  other.send("x", address_);
  EXPECT_TRUE(reaches(counters().sessions_opened, 2));
}

TEST_F(UdpLimitsTest, AllListenersOfAWorkerShareItsDescriptors) {
  const std::vector<UdpSocket> clients(3);
  const UdpSocket backend;
  hooks_.worker_limit = 4;
  serve({backend.endpoint});
  for (const auto& client : clients) exchange(client, backend, "x");
  serve({backend.endpoint});
  exchange(clients[0], backend, "x");
  for (const auto& client : clients) client.send("x", address_);
  EXPECT_TRUE(reaches(counters().session_limit, 2));
  EXPECT_EQ(relay().sessions(), 4u);
}

TEST(UdpShare, LeavesHalfOfTheDescriptorsToOthers) {
  EXPECT_EQ(udp_share(20'000, 2), 5'000u);
  EXPECT_EQ(udp_share(20'000, 1), 10'000u);
  EXPECT_EQ(udp_share(1, 8), 1u);
}

}  // namespace
}  // namespace lb::proxy
