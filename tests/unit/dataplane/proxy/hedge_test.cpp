// hedge_ms: a dial that is not answered gets company, and the faster of the two wins.
#include "tests/unit/dataplane/proxy/arrivals.hpp"

namespace lb::proxy {
namespace {

class HedgeTest : public SecondChanceTest {
 protected:
  void SetUp() override {
    SecondChanceTest::SetUp();
    policy_.hedge_ms = 30;
    policy_.connect_timeout_ms = 60'000;
  }

  // A client that waits for two black holes at a time.
  Fd hedge_into_nothing() {
    policy_.ejection = {.refused = 0, .timeouts = 0, .seconds = 1};
    serve({hole_.port, other_hole_.port});
    Fd client = dial(port_);
    EXPECT_TRUE(eventually([&] { return counters().hedges == 1; }));
    return client;
  }

  const BlackHole hole_, other_hole_;
};

TEST_F(HedgeTest, ASecondDialWinsOverOneThatIsNotAnswered) {
  Server server;
  serve({hole_.port, server.port});
  std::vector<Fd> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(dial(port_));
  for (size_t i = 0; i < clients.size(); ++i) {
    const Arrival each = next_arrival({&server});
    ASSERT_TRUE(each.fd.valid());
    write_all(each.fd.get(), "w");
  }
  for (auto& client : clients) EXPECT_EQ(read_some(client, 1), "w");
  EXPECT_GE(counters().hedges, 1U);
  EXPECT_GE(counters().hedges_won, 1U);
  EXPECT_EQ(totals().hedges_won, counters().hedges_won);
}

TEST_F(HedgeTest, WhoeverLostToItIsWaitedForNoMore) {
  Server server;
  serve({hole_.port, server.port});
  std::vector<Fd> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(dial(port_));
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(server.accept_one().valid());
  // The kernel has connected before the engine learns of it.
  const auto settled = [this] {
    const auto now = counters();
    return now.ejections == 1 && now.connect_timeouts == now.hedges_won;
  };
  EXPECT_TRUE(eventually(settled)) << counters().ejections << " ejections";
  for (const auto& backend : port_status().backends) {
    EXPECT_EQ(backend.ejected, backend.backend.port == hole_.port);
    EXPECT_EQ(backend.reason, backend.ejected ? "Timeout" : "");
  }
  const uint64_t hedges = counters().hedges;
  for (int i = 0; i < 8; ++i) {
    const Fd client = dial(port_);
    EXPECT_TRUE(server.accept_one().valid());
  }
  EXPECT_EQ(counters().hedges, hedges);
}

TEST_F(HedgeTest, ADialThatIsAnsweredInTimeHasNone) {
  Server one, two;
  policy_.hedge_ms = 5'000;
  serve({one.port, two.port});
  for (int i = 0; i < 8; ++i) {
    const Fd client = dial(port_);
    EXPECT_TRUE(next_arrival({&one, &two}).fd.valid());
  }
  EXPECT_EQ(counters().hedges, 0U);
  EXPECT_EQ(counters().dials, 8U);
}

TEST_F(HedgeTest, CountsAmongTheAttempts) {
  Server server;
  policy_.connect_attempts = 1;
  policy_.connect_timeout_ms = 200;
  policy_.ejection.timeouts = 0;
  serve({hole_.port, server.port});
  std::vector<Fd> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(dial(port_));
  EXPECT_TRUE(eventually([&] { return counters().connect_timeouts >= 1; }));
  EXPECT_EQ(counters().hedges, 0U);
}

TEST_F(HedgeTest, DoesNotGoToABackendThatIsOutOfUse) {
  Server sick;
  policy_.connect_timeout_ms = 300;
  serve({hole_.port, sick.port});
  set_health(sick.port, Health::kDown);
  const Fd client = dial(port_);
  EXPECT_TRUE(is_reset(client)) << "once the only dial has timed out";
  EXPECT_EQ(counters().hedges, 0U);
}

TEST_F(HedgeTest, WhereTheSecondIsRefusedRetriesGoOn) {
  Server server;
  const uint16_t dead = free_port();
  policy_.connect_timeout_ms = 400;
  policy_.ejection = {.refused = 0, .timeouts = 0, .seconds = 1};
  serve({hole_.port, dead, server.port});
  std::vector<Fd> clients;
  for (int i = 0; i < 9; ++i) clients.push_back(dial(port_));
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(server.accept_one().valid()) << i;
  EXPECT_GE(counters().connect_refused, 1U);
  EXPECT_GE(counters().hedges, 1U);
  EXPECT_EQ(counters().no_backend, 0U);
}

TEST_F(HedgeTest, WhenTheFirstEndsTheSecondHasItsOwnTime) {
  Server server;
  policy_.connect_timeout_ms = 300;
  policy_.ejection = {.refused = 0, .timeouts = 0, .seconds = 1};
  serve({hole_.port, other_hole_.port, server.port});
  std::vector<Fd> clients;
  for (int i = 0; i < 9; ++i) clients.push_back(dial(port_));
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(server.accept_one().valid()) << i;
  EXPECT_EQ(counters().no_backend, 0U);
}

// The kernel sends the SYN again after a second; by then there is room in the hole's queue.
TEST_F(HedgeTest, TheFirstMayStillWin) {
  policy_.ejection = {.refused = 0, .timeouts = 0, .seconds = 1};
  serve({hole_.port, other_hole_.port});
  const Fd client = dial(port_);
  ASSERT_TRUE(eventually([&] { return counters().hedges == 1; }));
  std::vector<Fd> taken;
  for (const auto* hole : {&hole_, &other_hole_}) {
    fcntl(hole->fd.get(), F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 4; ++i) taken.emplace_back(accept(hole->fd.get(), nullptr, nullptr));
  }
  EXPECT_TRUE(eventually([&] {
    for (const auto* hole : {&hole_, &other_hole_}) {
      taken.emplace_back(accept(hole->fd.get(), nullptr, nullptr));
    }
    const auto now = flows();
    return std::none_of(now.begin(), now.end(),
                        [](const Flow& flow) { return flow.phase == FlowPhase::kDialling; });
  }));
  uint64_t connections = 0;
  for (const auto& backend : port_status().backends) connections += backend.connections;
  EXPECT_EQ(connections, 1U) << "whoever lost is let go";
}

TEST_F(HedgeTest, TheWinnerIsToldOnceWhoTheClientIs) {
  Server server;
  policy_.proxy_protocol = ProxyProtocol::kV1;
  serve({hole_.port, server.port});
  for (int i = 0; i < 4; ++i) {
    const Fd client = dial(port_);
    write_all(client.get(), "hello");
    shutdown(client.get(), SHUT_WR);
    const std::string expected = "PROXY TCP4 127.0.0.1 127.0.0.1 " +
                                 std::to_string(port_of(client.get())) + " " +
                                 std::to_string(port_) + "\r\nhello";
    EXPECT_EQ(read_all(next_arrival({&server}).fd.get()), expected);
  }
  EXPECT_GE(counters().hedges_won, 1U);
}

TEST_F(HedgeTest, TheWinnerMayBeReplaced) {
  Server one, two;
  policy_.retry_before_first_byte = true;
  serve({hole_.port, one.port, two.port});
  for (int i = 0; i < 6; ++i) {
    const Fd client = dial(port_);
    write_all(client.get(), "hello");
    Arrival first = next_arrival({&one, &two});
    EXPECT_EQ(read_some(first.fd, 5), "hello");
    reset(first.fd);
    Arrival second = next_arrival({&one, &two});
    EXPECT_NE(second.server, first.server);
    EXPECT_EQ(read_some(second.fd, 5), "hello");
    write_all(second.fd.get(), "w");
    EXPECT_EQ(read_some(client, 1), "w");
  }
  EXPECT_EQ(counters().replays, 6U);
}

TEST_F(HedgeTest, MayBeKilledOnTheWay) {
  const Fd client = hedge_into_nothing();
  EXPECT_TRUE(kill(flows().at(0).id));
  EXPECT_TRUE(is_reset(client));
  for (const auto& backend : port_status().backends) EXPECT_EQ(backend.connections, 0U);
}

TEST_F(HedgeTest, LeavesNothingBehind) {
  const size_t before = open_descriptors();
  {
    const Fd client = hedge_into_nothing();
    EXPECT_GE(open_descriptors(), before + 6) << "listeners, both ends, two dials";
    EXPECT_TRUE(kill(flows().at(0).id));
  }
  expect_nothing_left(before + 2);  // the listener's two
}

TEST_F(HedgeTest, EndsWithItsListener) {
  const Fd client = hedge_into_nothing();
  apply({{1, 99}, {}});
  EXPECT_TRUE(is_reset(client));
  EXPECT_TRUE(eventually([&] { return counters().active == 0; }));
}

TEST_F(HedgeTest, EndsWithADrain) {
  const Fd client = hedge_into_nothing();
  drain(50);
  EXPECT_TRUE(is_reset(client));
}

TEST_F(HedgeTest, EndsWhenTheClientGoes) {
  Fd client = hedge_into_nothing();
  reset(client);
  EXPECT_TRUE(eventually([&] { return counters().client_gone_while_dialling == 1; }));
  EXPECT_TRUE(eventually([&] {
    const auto backends = port_status().backends;
    return std::all_of(backends.begin(), backends.end(),
                       [](const auto& backend) { return backend.connections == 0; });
  }));
}

TEST_F(HedgeTest, OutlivesTheRemovalOfBothBackends) {
  Server server;
  policy_.connect_timeout_ms = 500;
  const Fd client = hedge_into_nothing();
  serve({server.port});
  EXPECT_TRUE(server.accept_one().valid()) << "when both have taken too long";
  EXPECT_EQ(counters().drain_resets, 0U);
}

}  // namespace
}  // namespace lb::proxy
