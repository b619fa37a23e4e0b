// The order rules, one apply at a time, and the merged list of failures; with a fake byte path.
#include "dataplane/coordinator.hpp"

#include <gmock/gmock.h>

#include <optional>

#include "tests/unit/dataplane/program/fake_path.hpp"

namespace lb::dataplane {
namespace {

using testing::SizeIs;

class CoordinatorTest : public testing::Test {
 protected:
  using Answer = std::optional<Result<ApplyResult>>;

  Answer put(Version version, std::vector<Service> services = {}) {
    coordinator.put({version, std::move(services)}, [this](auto result) { last = result; });
    return std::exchange(last, std::nullopt);
  }
  Answer patch(StatePatch offered) {
    coordinator.patch(std::move(offered), [this](auto result) { last = result; });
    return std::exchange(last, std::nullopt);
  }

  FakePath path;
  Coordinator coordinator{path, {}};
  Answer last;
};

TEST_F(CoordinatorTest, HoldsNothingAtStart) {
  EXPECT_EQ(coordinator.held()->version, (Version{0, 0}));
  EXPECT_FALSE(coordinator.applied());
}

TEST_F(CoordinatorTest, IsSettledOnlyWhileNothingIsBeingApplied) {
  EXPECT_FALSE(coordinator.settled());
  path.at_once = false;
  EXPECT_FALSE(put({1, 1}));
  EXPECT_FALSE(coordinator.settled());
  path.complete();
  EXPECT_TRUE(coordinator.settled());
  last.reset();
  EXPECT_FALSE(put({1, 2}));
  EXPECT_FALSE(coordinator.settled());
}

TEST_F(CoordinatorTest, PutMustGrowOrRepeat) {
  EXPECT_TRUE(put({1, 2})->ok());
  EXPECT_TRUE(put({1, 2})->ok());
  EXPECT_EQ(put({1, 1})->error().code, "Order");
  EXPECT_EQ(put({1, 2}, {service("file/a", "10.0.0.1")})->error().code, "Order");
  EXPECT_TRUE(put({2, 1})->ok());
  EXPECT_EQ(coordinator.held()->version, (Version{2, 1}));
}

TEST_F(CoordinatorTest, RefusedChangeTouchesNothing) {
  ASSERT_TRUE(put({1, 2}, {service("file/a", "10.0.0.1")})->ok());
  const auto held = coordinator.held();
  EXPECT_FALSE(put({1, 1})->ok());
  EXPECT_EQ(coordinator.held(), held);
  EXPECT_THAT(path.applied, SizeIs(1));
}

TEST_F(CoordinatorTest, HandsOnWhatHasNotChangedAsTheSameObject) {
  ASSERT_TRUE(put({1, 1}, {service("file/a", "10.0.0.1"), service("file/b", "10.0.0.2")})->ok());
  ASSERT_TRUE(put({1, 2}, {service("file/a", "10.0.0.1"), service("file/b", "10.0.0.3")})->ok());
  ASSERT_TRUE(patch({1, 2, 3, {service("file/b", "10.0.0.4")}, {}})->ok());
  ASSERT_THAT(path.applied, SizeIs(3));
  const auto first = path.applied[0]->services.begin();
  EXPECT_EQ(path.applied[1]->services.begin().element(), first.element());
  EXPECT_EQ(path.applied[2]->services.begin().element(), first.element());
  EXPECT_EQ(path.applied[2]->services[1].addresses[0], ip("10.0.0.4"));
}

TEST_F(CoordinatorTest, PatchNeedsItsBaseAndIsNotRepeated) {
  ASSERT_TRUE(put({1, 1}, {service("file/a", "10.0.0.1")})->ok());
  const StatePatch change{1, 1, 2, {service("file/b", "10.0.0.2")}, {"file/none"}};
  EXPECT_TRUE(patch(change)->ok());
  EXPECT_THAT(coordinator.held()->services, SizeIs(2));
  EXPECT_EQ(patch(change)->error().code, "Order");
}

TEST_F(CoordinatorTest, AppliesOneAtATimeAndJudgesAtTheHeadOfTheQueue) {
  path.at_once = false;
  EXPECT_FALSE(put({1, 1}));
  EXPECT_FALSE(put({1, 3}));
  EXPECT_FALSE(put({1, 2}));
  EXPECT_THAT(path.applied, SizeIs(1));
  path.complete();
  EXPECT_THAT(path.applied, SizeIs(2));
  EXPECT_EQ(coordinator.held()->version, (Version{1, 3}));
  path.complete();
  EXPECT_THAT(path.applied, SizeIs(2));
  EXPECT_EQ(last->error().code, "Order");
}

TEST_F(CoordinatorTest, MergesFailuresOfAdmissionAndOfTheBytePath) {
  path.at_once = false;
  put({1, 1}, {service("file/a", "169.254.0.1"), service("file/b", "10.0.0.1")});
  EXPECT_THAT(path.applied[0]->services, SizeIs(1));
  EXPECT_FALSE(coordinator.applied());
  Failure unbound;
  unbound.reason = "AddressInUse";
  path.complete({unbound});
  ASSERT_TRUE(last && last->ok());
  ASSERT_THAT((*last)->failed, SizeIs(2));
  EXPECT_EQ((*last)->failed[0].reason, "AddressRefused");
  EXPECT_EQ((*last)->failed[1].reason, "AddressInUse");
  EXPECT_TRUE(coordinator.applied());
}

TEST_F(CoordinatorTest, AFailureThatThePathHasOvercomeIsNotReportedAnyMore) {
  path.failing = {{"file/a", ip("10.0.0.1"), 80, Protocol::kTcp, {}, "AddressInUse", "taken"}};
  put({1, 1}, {service("file/a", "10.0.0.1")});
  EXPECT_THAT(coordinator.failed(), SizeIs(1));
  path.failing.clear();
  EXPECT_THAT(coordinator.failed(), SizeIs(0));
}

TEST_F(CoordinatorTest, WhatAdmissionRefusedStaysReported) {
  put({1, 1}, {service("kubernetes/a/b", "169.254.1.1")});
  EXPECT_THAT(coordinator.failed(), SizeIs(1));
}

}  // namespace
}  // namespace lb::dataplane
