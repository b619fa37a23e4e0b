// Rules 39 to 41: who gets which address, and keeps it.
#include "tests/unit/controller/rules/rules_fixture.hpp"

namespace lb::plan {
namespace {

using testing::IsEmpty;
using AllocatorRules = Rules;

std::string planned_address(const std::map<std::string, ServicePlan>& plans,
                            const ServiceBuilder& service) {
  const auto& desired = plans.at(service.key()).desired;
  return desired && !desired->addresses.empty() ? desired->addresses[0].to_string() : "";
}

TEST_F(AllocatorRules, R39_WhoeverTakesOverKeepsEveryAddressAndWritesNothing) {
  auto a = service("a"), b = service("b");
  settle(a);
  settle(b);
  Allocator fresh(allocator.pools().all());
  for (const auto& [key, planned] : plan_all(world, fresh)) {
    EXPECT_FALSE(planned.patch) << key;
    EXPECT_EQ(*planned.desired, *world.published.at(key).service);
  }
}

TEST_F(AllocatorRules, R39_AnAddressThatIsServedAndNotYetInAStatusIsNobodyElses) {
  const auto young = service("young").created("2026-01-09T00:00:00Z");
  put(young);
  publish(young);  // and then whoever led died, before the status was written
  const std::string before = world.published.at(young.key()).service->addresses[0].to_string();
  const auto old = service("old").created("2026-01-01T00:00:00Z");
  put(old);
  Allocator fresh(allocator.pools().all());
  const auto plans = plan_all(world, fresh);
  EXPECT_EQ(planned_address(plans, young), before);
  EXPECT_NE(planned_address(plans, old), before);
}

TEST_F(AllocatorRules, R40_StatusesComeFirstThenRequestsThenTheOldest) {
  const auto with_status = service("z").status("192.0.2.10").created("2026-01-09T00:00:00Z");
  const auto with_request = service("y").requests("192.0.2.11").created("2026-01-08T00:00:00Z");
  const auto old = service("b").created("2026-01-01T00:00:00Z");
  const auto young = service("a").created("2026-01-02T00:00:00Z");
  for (const auto& each : {with_status, with_request, old, young}) put(each);
  const auto plans = plan_all(world, allocator);
  EXPECT_EQ(planned_address(plans, with_status), "192.0.2.10");
  EXPECT_EQ(planned_address(plans, with_request), "192.0.2.11");
  EXPECT_EQ(planned_address(plans, old), "192.0.2.12");
  EXPECT_EQ(planned_address(plans, young), "192.0.2.13");
}

TEST_F(AllocatorRules, R40_OfTwoStatusesWithOneAddressTheOlderKeepsIt) {
  const auto old = service("z").status("192.0.2.10").created("2026-01-01T00:00:00Z");
  const auto young = service("a").status("192.0.2.10").created("2026-01-02T00:00:00Z");
  put(old);
  put(young);
  const auto plans = plan_all(world, allocator);
  EXPECT_EQ(planned_address(plans, old), "192.0.2.10");
  EXPECT_NE(planned_address(plans, young), "192.0.2.10");
}

TEST_F(AllocatorRules, R41_AFreedAddressRestsBeforeItIsGivenAgain) {
  auto web = service("web");
  settle(web);
  const std::string before = address(web);
  web.deleting();
  settle(web);
  EXPECT_TRUE(allocator.quarantined().contains(ip(before)));
  auto next = service("next");
  settle(next);
  EXPECT_NE(address(next), before);
}

std::vector<Pool> pools_of(const char* range) { return {flags_pool({pool(range)})}; }

TEST_F(AllocatorRules, R41_APoolThatShrinksOrGoesTakesNoAddressInUse) {
  auto web = service("web");
  settle(web);
  ASSERT_EQ(address(web), "192.0.2.10");
  for (const auto& pools : {pools_of("192.0.2.11-192.0.2.13"), std::vector<Pool>{}}) {
    allocator.set_pools(pools);
    EXPECT_TRUE(allocator.take_changed().contains(web.key()));
    settle(web);
    EXPECT_EQ(address(web), "192.0.2.10");
    const auto& conditions = web.object().conditions;
    const auto degraded = std::find_if(conditions.begin(), conditions.end(), [](const auto& each) {
      return each.type == kDegraded && each.status == "True";
    });
    ASSERT_NE(degraded, conditions.end());
    EXPECT_EQ(degraded->reason, "AddressOutsidePools");
  }
}

TEST_F(AllocatorRules, R41_AnAddressOutsideThePoolsIsKeptOverARestartWhileADataPlaneServesIt) {
  auto web = service("web");
  settle(web);
  Allocator fresh(pools_of("192.0.2.12-192.0.2.13"));
  EXPECT_EQ(planned_address(plan_all(world, fresh), web), "192.0.2.10");
}

TEST_F(AllocatorRules, R41_AStatusThatNobodyServesAndNoPoolHasIsGivenUpWithItsReason) {
  auto web = service("web");
  settle(web);
  world.published.clear();
  Allocator fresh(pools_of("192.0.2.12-192.0.2.13"));
  EXPECT_EQ(planned_address(plan_all(world, fresh), web), "192.0.2.12");
  world.published[web.key()] = {
      std::make_shared<const Service>(*plan_service(world, fresh, web.key()).desired), true, true,
      false};
  const auto planned = plan_service(world, fresh, web.key());
  EXPECT_TRUE(event(planned, "AddressOutsidePools"));
}

TEST_F(AllocatorRules, R41_WhatComesBackIntoAPoolIsNoLongerDegraded) {
  auto web = service("web");
  settle(web);
  allocator.set_pools({});
  settle(web);
  allocator.set_pools(pools_of("192.0.2.10-192.0.2.11"));
  settle(web);
  EXPECT_EQ(address(web), "192.0.2.10");
  for (const auto& each : web.object().conditions) {
    EXPECT_NE(each.reason, "AddressOutsidePools") << each.type;
  }
}

TEST_F(AllocatorRules, R40_AnAddressThatIsGivenUpWakesWhoeverWaitsForIt) {
  allocator = Allocator({pool("192.0.2.10-192.0.2.11")});
  // It has one address in its status and asks for the other: both are spoken for.
  auto moving = service("moving").status("192.0.2.10").requests("192.0.2.11");
  auto waiting = service("waiting");
  put(moving);
  put(waiting);
  plan(moving);
  EXPECT_FALSE(plan(waiting).desired);
  allocator.take_changed();
  moving.object().ingress[0].ip = "192.0.2.11";
  put(moving);
  plan(moving);
  EXPECT_TRUE(allocator.take_changed().contains(waiting.key()));
  EXPECT_TRUE(plan(waiting).desired);
}

TEST_F(AllocatorRules, R03_WhatLostAMarkIsNotServedAtAnAddressThatIsSomebodyElses) {
  allocator = Allocator({pool("192.0.2.10-192.0.2.11")});
  auto web = service("web").created("2026-01-02T00:00:00Z");
  put(web);
  publish(web);
  const std::string mine = world.published.at(web.key()).service->addresses[0].to_string();
  web.unmarked();
  put(web);
  EXPECT_TRUE(plan(web).desired) << "it goes on while its address is its own";
  put(service("older").requests(mine));
  EXPECT_TRUE(plan(service("older")).desired);
  EXPECT_FALSE(plan(web).desired);
}

}  // namespace
}  // namespace lb::plan
