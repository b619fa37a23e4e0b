// What workers pick by: arrivals, zones, thresholds, sockets.
#include "dataplane/proxy/listener_planner.hpp"

#include <gtest/gtest.h>

namespace lb::proxy {
namespace {

constexpr uint64_t kStart = 1'000'000;

Backend backend(uint16_t port) {
  Backend out;
  out.address = IpAddress::v4(0x0a000001);
  out.port = port;
  return out;
}

class ListenerArrivals : public testing::Test {
 protected:
  ListenerArrivals() {
    port_.port = 80;
    port_.policy.slow_start_s = 10;
  }

  // The one listener that serves these backends from now on.
  const ListenerConfig& plan(std::vector<Backend> backends) {
    port_.backends = std::move(backends);
    planner_.plan(state(), now_);
    EXPECT_TRUE(planner_.failures().empty());
    held_ = planner_.planned();
    return *held_.begin()->second.config;
  }
  std::shared_ptr<const DesiredState> state() const {
    auto out = std::make_shared<DesiredState>();
    out->services.push_back({"file/web", addresses_, {port_}, {}});
    return out;
  }
  // In the order of the backends.
  static std::vector<bool> starting(const ListenerConfig& config) {
    std::vector<bool> out;
    for (const auto& record : config.records) out.push_back(record->back_since != 0);
    return out;
  }
  using Starting = std::vector<bool>;

  std::vector<IpAddress> addresses_{IpAddress::v4(0x7f000001)};
  ServicePort port_;
  uint64_t now_ = kStart;
  ListenerPlanner planner_{1, "here"};
  PlannedListeners held_;
};

TEST_F(ListenerArrivals, NobodyStartsSlowlyAtTheBeginning) {
  EXPECT_EQ(starting(plan({backend(1), backend(2)})), (Starting{false, false}));
  EXPECT_EQ(starting(plan({backend(1), backend(2)})), (Starting{false, false}));
}

TEST_F(ListenerArrivals, WhoeverIsServedNoLongerHasLeft) {
  const ListenerConfig before = plan({backend(1), backend(2), backend(3), backend(4)});
  Backend draining = backend(2), weightless = backend(3);
  draining.state = BackendState::kDraining;
  weightless.weight = 0;
  const ListenerConfig now = plan({backend(1), draining, weightless, backend(5)});
  EXPECT_EQ(left_service(before, now), 3u);
  EXPECT_EQ(left_service(now, plan({backend(1), backend(2)})), 1u) << "who had left already";
  EXPECT_EQ(left_service(before, before), 0u);
}

TEST_F(ListenerArrivals, ANewOneAmongOthersStartsSlowlyFromThen) {
  plan({backend(1)});
  now_ += 500;
  const auto& config = plan({backend(1), backend(2)});
  EXPECT_EQ(starting(config), (Starting{false, true}));
  EXPECT_EQ(config.records[1]->back_since, now_);
  now_ += 500;
  EXPECT_EQ(plan({backend(1), backend(2)}).records[1]->back_since, kStart + 500) << "only once";
}

TEST_F(ListenerArrivals, TheFirstOfAnEmptySetDoesNotStartSlowly) {
  plan({});
  EXPECT_EQ(starting(plan({backend(1), backend(2)})), (Starting{false, false}));
}

TEST_F(ListenerArrivals, ASetThatIsReplacedAsAWholeDoesNotStartSlowly) {
  plan({backend(1), backend(2)});
  EXPECT_EQ(starting(plan({backend(3), backend(4)})), (Starting{false, false}));
}

TEST_F(ListenerArrivals, OneThatBecomesReadyStartsSlowly) {
  Backend late = backend(2);
  late.state = BackendState::kNotReady;
  EXPECT_EQ(starting(plan({backend(1), late})), (Starting{false, false}));
  EXPECT_EQ(starting(plan({backend(1), backend(2)})), (Starting{false, true}));
}

TEST_F(ListenerArrivals, OneThatAnOperatorTakesBackStartsSlowly) {
  planner_.set_drains({{"file/web", backend(2).endpoint()}}, now_);
  plan({backend(1), backend(2)});
  planner_.set_drains({}, now_);
  EXPECT_EQ(starting(plan({backend(1), backend(2)})), (Starting{false, true}));
}

TEST_F(ListenerArrivals, OneThatWasAwayStartsSlowlyThoughItsConnectionsGoOn) {
  const auto& before = plan({backend(1), backend(2)});
  const auto connection = before.records[1];
  plan({backend(1)});
  const auto& after = plan({backend(1), backend(2)});
  EXPECT_EQ(after.records[1], connection);
  EXPECT_EQ(starting(after), (Starting{false, true}));
}

TEST_F(ListenerArrivals, ASecondAddressOfAServiceChangesNothing) {
  addresses_.push_back(IpAddress::v4(0x7f000002));
  EXPECT_EQ(starting(plan({backend(1), backend(2)})), (Starting{false, false}));
  EXPECT_EQ(starting(plan({backend(1), backend(2), backend(3)})), (Starting{false, false, true}));
}

TEST_F(ListenerArrivals, BackendsOfOurZoneAreNear) {
  Backend near = backend(1), far = backend(2);
  near.zone = "here";
  far.zone = "there";
  port_.policy.prefer_zone = true;
  const auto& config = plan({near, far, backend(3)});
  EXPECT_TRUE(config.options.prefer_near);
  EXPECT_TRUE(config.candidates[0].near);
  EXPECT_FALSE(config.candidates[1].near);
  EXPECT_FALSE(config.candidates[2].near) << "a backend without a zone is in no zone of ours";
}

TEST_F(ListenerArrivals, TheZoneMattersOnlyWhereItIsAskedForAndKnown) {
  EXPECT_FALSE(plan({backend(1)}).options.prefer_near);
  port_.policy.prefer_zone = true;
  ListenerPlanner nowhere(1);
  port_.backends = {backend(1)};
  nowhere.plan(state(), now_);
  const auto& config = *nowhere.planned().begin()->second.config;
  EXPECT_FALSE(config.options.prefer_near);
  EXPECT_FALSE(config.candidates[0].near);
}

TEST_F(ListenerArrivals, ThresholdAndSocketsAreThePolicys) {
  port_.policy.health.panic_percent = 40;
  port_.policy.congestion = "reno";
  port_.policy.busy_poll_us = 50;
  const auto& config = plan({});
  EXPECT_EQ(config.options.panic_percent, 40u);
  EXPECT_EQ(config.tuning, (SocketTuning{"reno", 50}));
  EXPECT_EQ(tuning_of(port_.policy, Protocol::kUdp), (SocketTuning{"", 50}));
}

}  // namespace
}  // namespace lb::proxy
