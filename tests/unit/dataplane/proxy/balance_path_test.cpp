// What the pure policies know to use, filled in by the byte path: slow starts, zones, panic.
#include <map>

#include "tests/unit/dataplane/proxy/data_path_fixture.hpp"

namespace lb::proxy {
namespace {

const IpAddress kLoopback = IpAddress::v4(0x7f000001);

class BalancePathTest : public DataPathTest {
 protected:
  void make(const std::string& zone) {
    on_control([&] {
      path_ = make_data_path({.workers = 2,
                              .zone = zone,
                              .post = [this](auto task) { asio::post(control_, std::move(task)); },
                              .on_panic = [this](const std::string&, const ListenerId&,
                                                 bool panic) { panics_.push_back(panic); }});
    });
  }

  void health(const Server& server, Health health) {
    const BackendId id{"file/web", port_, Protocol::kTcp, {kLoopback, server.port}};
    on_control([&] { path_->set_health(id, health, ""); });
  }

  // Opens that many connections; how many each backend has of them.
  std::map<uint16_t, uint64_t> open(uint64_t count) {
    std::map<uint16_t, uint64_t> before = connections();
    for (uint64_t i = 0; i < count; ++i) clients_.push_back(dial(port_));
    auto now = connections();
    EXPECT_TRUE(eventually([&] {
      now = connections();
      return total(now) == clients_.size();
    }));
    for (auto& [port, number] : now) number -= before[port];
    return now;
  }
  std::map<uint16_t, uint64_t> connections() {
    std::map<uint16_t, uint64_t> out;
    for (const auto& backend : port_status().backends) {
      out[backend.backend.port] = backend.connections;
    }
    return out;
  }

  static uint64_t total(const std::map<uint16_t, uint64_t>& connections) {
    uint64_t out = 0;
    for (const auto& [port, count] : connections) out += count;
    return out;
  }

  std::vector<Fd> clients_;
  std::vector<bool> panics_;  // of the control thread
};

constexpr uint64_t kMany = 66;
constexpr uint64_t kFew = 12;  // a tenth of a third of it, and room for how two workers share

TEST_F(BalancePathTest, ANewBackendStartsSlowlyUnderEveryPolicy) {
  for (const Balance balance :
       {Balance::kRoundRobin, Balance::kLeastConnections, Balance::kRandomTwo, Balance::kMaglev}) {
    SCOPED_TRACE(to_string(balance));
    Server a, b, fresh;
    clients_.clear();
    make("");
    port_ = free_port();
    policy_.balance = balance;
    policy_.slow_start_s = 3600;
    serve({a.port, b.port});
    serve({a.port, b.port, fresh.port});
    EXPECT_LT(open(kMany).at(fresh.port), kFew);
  }
}

TEST_F(BalancePathTest, AllOfAFirstSetHaveTheirFullShare) {
  Server a, b, c;
  policy_.slow_start_s = 3600;
  serve({a.port, b.port, c.port});
  for (const auto& [port, count] : open(kMany)) EXPECT_NEAR(double(count), kMany / 3.0, 2) << port;
}

TEST_F(BalancePathTest, ABackendThatBecomesWellStartsSlowly) {
  Server a, b, sick;
  policy_.slow_start_s = 3600;
  serve({a.port, b.port, sick.port});
  for (const Server* each : {&a, &b, &sick}) health(*each, Health::kUp);
  EXPECT_GT(open(kMany)[sick.port], kFew) << "the first word of a check is no return";
  health(sick, Health::kDown);
  EXPECT_EQ(open(10)[sick.port], 0u);
  health(sick, Health::kUp);
  EXPECT_LT(open(kMany)[sick.port], kFew);
}

TEST_F(BalancePathTest, ANewBackendsSlowStartBeginsWhenItsCheckFirstSaysUp) {
  Server a, b, fresh;
  serve({a.port, b.port});
  for (const Server* each : {&a, &b}) health(*each, Health::kUp);
  serve({a.port, b.port, fresh.port});
  EXPECT_EQ(open(10)[fresh.port], 0u) << "by now the start that began with its arrival is over";
  policy_.slow_start_s = 3600;
  serve({a.port, b.port, fresh.port});
  health(fresh, Health::kUp);
  EXPECT_LT(open(kMany)[fresh.port], kFew);
}

TEST_F(BalancePathTest, ABackendThatIsTakenBackStartsSlowly) {
  Server a, b, returning;
  const uint16_t port = returning.port;
  returning.fd.reset();
  policy_.ejection = {.refused = 1, .timeouts = 1, .seconds = 1};
  policy_.slow_start_s = 3600;
  serve({a.port, b.port, port});
  for (int i = 0; i < 6; ++i) clients_.push_back(dial(port_));
  ASSERT_TRUE(eventually([&] { return counters().ejections == 1; }));
  Fd back(socket(AF_INET, SOCK_STREAM, 0));
  const int on = 1;
  setsockopt(back.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const auto address = loopback(port);
  ASSERT_EQ(bind(back.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  listen(back.get(), 512);
  ASSERT_TRUE(eventually([&] { return counters().readmissions == 1; }));
  for (uint64_t i = 0; i < kMany; ++i) clients_.push_back(dial(port_));
  ASSERT_TRUE(eventually([&] { return total(connections()) == clients_.size(); }));
  EXPECT_LT(connections().at(port), kFew);
}

TEST_F(BalancePathTest, WithoutASlowStartAReturnIsAllAtOnce) {
  Server a, b, sick;
  serve({a.port, b.port, sick.port});
  health(sick, Health::kDown);
  health(sick, Health::kUp);
  for (const Server* each : {&a, &b}) health(*each, Health::kUp);
  EXPECT_NEAR(double(open(kMany)[sick.port]), kMany / 3.0, 2);
}

class ZonePathTest : public BalancePathTest {
 protected:
  std::vector<Failure> serve_zones(const Server& near, const Server& far) {
    DesiredState state{{1, ++generation_}, {{"file/web", {kLoopback}, {}, {}}}};
    ServicePort port;
    port.port = port_;
    port.policy = policy_;
    for (const auto& [server, zone] : {std::pair(&near, "a"), std::pair(&far, "b")}) {
      Backend& backend = port.backends.emplace_back();
      backend.address = kLoopback;
      backend.port = server->port;
      backend.zone = zone;
    }
    state.services.edit(0).ports.push_back(port);
    return apply(state);
  }
  Server near_, far_;
};

TEST_F(ZonePathTest, BackendsOfOurZoneGoFirstAndTheOthersStandIn) {
  make("a");
  policy_.prefer_zone = true;
  serve_zones(near_, far_);
  EXPECT_EQ(open(20)[near_.port], 20u);
  health(near_, Health::kDown);
  EXPECT_EQ(open(20)[far_.port], 20u);
  health(near_, Health::kUp);
  EXPECT_EQ(open(20)[near_.port], 20u);
}

TEST_F(ZonePathTest, AServiceThatDoesNotAskForItIsSpreadOverAll) {
  make("a");
  serve_zones(near_, far_);
  EXPECT_NEAR(double(open(20)[near_.port]), 10, 1);
}

TEST_F(ZonePathTest, WithoutAZoneOfOurOwnNothingIsNear) {
  policy_.prefer_zone = true;
  serve_zones(near_, far_);
  EXPECT_NEAR(double(open(20)[near_.port]), 10, 1);
}

class PanicPathTest : public BalancePathTest {
 protected:
  uint64_t panic() {
    uint64_t out = 0;
    on_control([&] { out = path_->totals().at(0).panic; });
    return out;
  }
  size_t told() {
    size_t out = 0;
    on_control([&] { out = panics_.size(); });
    return out;
  }
};

TEST_F(PanicPathTest, BelowTheThresholdAllAreUsedAndThatIsTold) {
  make("");
  Server a, b, c;
  policy_.health.panic_percent = 50;
  serve({a.port, b.port, c.port});
  health(a, Health::kDown);
  EXPECT_EQ(open(10)[a.port], 0u);
  EXPECT_FALSE(port_status().panic);
  health(b, Health::kDown);
  const auto got = open(30);
  for (const auto& [port, count] : got) EXPECT_NEAR(double(count), 10, 3) << port;
  EXPECT_TRUE(port_status().panic);
  EXPECT_EQ(panic(), 1u);
  EXPECT_TRUE(eventually([&] { return told() == 1; }));
  health(b, Health::kUp);
  EXPECT_EQ(open(10)[a.port], 0u);
  EXPECT_EQ(panic(), 0u);
  EXPECT_TRUE(eventually([&] { return told() == 2; }));
  on_control([&] { EXPECT_EQ(panics_, (std::vector<bool>{true, false})); });
}

TEST_F(PanicPathTest, WithoutAThresholdWhoIsDownIsLeftOut) {
  make("");
  Server a, b;
  serve({a.port, b.port});
  health(a, Health::kDown);
  EXPECT_EQ(open(10)[b.port], 10u);
  EXPECT_EQ(panic(), 0u);
  EXPECT_EQ(told(), 0u);
}

TEST_F(PanicPathTest, AThresholdThatIsSetLaterCountsAtOnce) {
  make("");
  Server a, b;
  serve({a.port, b.port});
  health(a, Health::kDown);
  policy_.health.panic_percent = 60;
  serve({a.port, b.port});
  EXPECT_TRUE(eventually([&] { return told() == 1; }));
  EXPECT_TRUE(port_status().panic);
}

}  // namespace
}  // namespace lb::proxy
