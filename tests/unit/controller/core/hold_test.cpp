// What stays where it is while a data plane serves it, or may do so.
#include <gmock/gmock.h>

#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class HoldTest : public testing::Test {
 protected:
  void put(const ServiceBuilder& builder) { world.services[builder.key()] = builder.source(); }
  void serve(const std::string& key, const char* address) {
    Service out;
    out.key = key;
    out.addresses = {ip(address)};
    out.ports.emplace_back().port = 80;
    world.published[key] = {std::make_shared<const Service>(out)};
  }
  ServicePlan plan(const ServiceBuilder& builder) {
    return plan_service(world, allocator, builder.key());
  }
  static std::vector<std::string> reasons(const ServicePlan& planned) {
    std::vector<std::string> out;
    for (const auto& problem : planned.problems) out.push_back(problem.reason);
    return out;
  }

  World world;
  Allocator allocator{{pool("192.0.2.10-192.0.2.12")}};
};

TEST_F(HoldTest, WhoHasNoAddressWaitsAndIsNotRefused) {
  allocator.hold_back(true);
  put(service("web"));
  const auto out = plan(service("web"));
  EXPECT_FALSE(out.desired);
  EXPECT_FALSE(out.patch);
  EXPECT_THAT(reasons(out), ElementsAre("DataPlaneNotHeard"));
}

TEST_F(HoldTest, WhoHasAnAddressInItsStatusIsServed) {
  allocator.hold_back(true);
  const auto web = service("web").status("192.0.2.12");
  put(web);
  const auto out = plan(web);
  ASSERT_TRUE(out.desired);
  EXPECT_THAT(out.desired->addresses, ElementsAre(ip("192.0.2.12")));
}

TEST_F(HoldTest, WhoAsksForAnotherAddressStaysMeanwhile) {
  allocator.hold_back(true);
  const auto web = service("web").status("192.0.2.12").requests("192.0.2.11");
  put(web);
  const auto out = plan(web);
  ASSERT_TRUE(out.desired);
  EXPECT_THAT(out.desired->addresses, ElementsAre(ip("192.0.2.12")));
  allocator.hold_back(false);
  EXPECT_THAT(allocator.take_changed(), ElementsAre(web.key())) << "and is planned again";
  EXPECT_THAT(plan(web).desired->addresses, ElementsAre(ip("192.0.2.11")));
}

TEST_F(HoldTest, AnAddressOutsideThePoolsStaysInTheStatusMeanwhile) {
  allocator.hold_back(true);
  const auto web = service("web").status("198.51.100.7");
  put(web);
  EXPECT_FALSE(plan(web).patch);
  allocator.hold_back(false);
  ASSERT_TRUE(plan(web).desired);
}

TEST_F(HoldTest, OneThatIsRefusedForItsPortsKeepsItsStatusMeanwhile) {
  allocator.hold_back(true);
  auto web = ServiceBuilder("web").port(80, "SCTP").status("192.0.2.10");
  put(web);
  const auto out = plan(web);
  EXPECT_FALSE(out.desired);
  EXPECT_TRUE(!out.patch || !out.patch->ingress);
}

TEST_F(HoldTest, ATeardownKeepsItsFinalizerMeanwhile) {
  allocator.hold_back(true);
  const auto web = service("web").status("192.0.2.10").deleting();
  put(web);
  const auto out = plan(web);
  EXPECT_FALSE(out.patch);
  EXPECT_THAT(reasons(out), ElementsAre("DataPlaneNotHeard"));
  allocator.hold_back(false);
  const auto then = plan(web);
  ASSERT_TRUE(then.patch);
  EXPECT_THAT(then.patch->remove_finalizers, ElementsAre(kFinalizer, kStandardFinalizer));
  EXPECT_THAT(allocator.quarantined(), ElementsAre(ip("192.0.2.10")));
}

TEST_F(HoldTest, AServiceThatWasNeverOursHasNothingToWaitFor) {
  allocator.hold_back(true);
  const auto other = service("other").unmarked().type("ClusterIP");
  put(other);
  EXPECT_EQ(plan(other), ServicePlan{});
}

TEST_F(HoldTest, TheFirstPlanReservesWhatIsServedOfTheDeadAndOfTheDying) {
  const auto dying = service("dying").created("2026-03-01T00:00:00Z").deleting();
  put(dying);
  put(service("young"));
  serve(dying.key(), "192.0.2.10");
  serve("kubernetes/default/dead", "192.0.2.11");
  const auto all = plan_all(world, allocator);
  EXPECT_THAT(all.at(service("young").key()).desired->addresses, ElementsAre(ip("192.0.2.12")));
  world.published.clear();
  plan(dying);
  plan(service("dead"));
  EXPECT_THAT(allocator.quarantined(), ElementsAre(ip("192.0.2.10"), ip("192.0.2.11")));
}

TEST_F(HoldTest, AReservationTakesNothingFromWhomAStatusNames) {
  const auto web = service("web").status("192.0.2.10");
  put(web);
  serve("kubernetes/default/dead", "192.0.2.10");
  const auto all = plan_all(world, allocator);
  EXPECT_THAT(all.at(web.key()).desired->addresses, ElementsAre(ip("192.0.2.10")));
  EXPECT_THAT(allocator.held("kubernetes/default/dead"), IsEmpty());
}

TEST_F(HoldTest, AReservationIsNotForWhoAsksForIt) {
  serve("kubernetes/default/dead", "192.0.2.10");
  const auto web = service("web").requests("192.0.2.10");
  put(web);
  const auto all = plan_all(world, allocator);
  EXPECT_FALSE(all.at(web.key()).desired) << "it is served still";
  world.published.clear();
  plan(service("dead"));
  EXPECT_THAT(plan(web).desired->addresses, ElementsAre(ip("192.0.2.10")));
}

TEST_F(HoldTest, WhatAFileServesOutsideThePoolsIsNotReserved) {
  serve("file/a", "0.0.0.0");
  plan_all(world, allocator);
  EXPECT_THAT(allocator.held("file/a"), IsEmpty());
  EXPECT_EQ(allocator.usage().assigned, 0u);
}

}  // namespace
}  // namespace lb::plan
