// The order rules, one apply at a time, and the merged list of failures; with a fake byte path.
#include "dataplane/coordinator.hpp"

#include <gmock/gmock.h>

#include <new>
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

TEST_F(CoordinatorTest, AChangeThatCannotBeginForWantOfMemoryIsRefusedAndNotHeld) {
  ASSERT_TRUE(put({1, 1})->ok());
  path.out_of_memory = true;
  EXPECT_EQ(put({1, 2})->error().code, "OutOfMemory");
  EXPECT_EQ(coordinator.held()->version, (Version{1, 1}));
  EXPECT_EQ(coordinator.memory_wants(), 1u);
  EXPECT_TRUE(coordinator.settled());
  EXPECT_TRUE(patch({1, 1, 2, {service("file/b", "10.0.0.2")}, {}})->ok());
}

TEST_F(CoordinatorTest, AnApplyWhoseEndIsLostIsAnsweredAndTheNextOneBegins) {
  path.at_once = false;
  EXPECT_FALSE(put({1, 1}));
  Answer second;
  coordinator.put({{1, 2}, {}}, [&](auto result) { second = result; });
  path.lose();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->error().code, "OutOfMemory");
  EXPECT_EQ(coordinator.memory_wants(), 1u);
  EXPECT_THAT(path.applied, SizeIs(2));
  path.complete();
  EXPECT_TRUE(second && second->ok());
}

TEST_F(CoordinatorTest, AnAnswerThatCannotBeGivenForWantOfMemoryStopsNothing) {
  coordinator.put({{1, 1}, {}}, [](const auto&) { throw std::bad_alloc(); });
  EXPECT_GE(coordinator.memory_wants(), 1u);
  EXPECT_EQ(coordinator.held()->version, (Version{1, 1})) << "it is applied all the same";
  EXPECT_TRUE(put({1, 2})->ok());
}

TEST_F(CoordinatorTest, IsGoneBeforeThePathThatStillOwesAnAnswer) {
  path.at_once = false;
  bool answered = false;
  {
    Coordinator other(path, {});
    other.put({{1, 1}, {}}, [&](const auto&) { answered = true; });
  }
  path.lose();
  EXPECT_FALSE(answered);
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

// A wildcard listener on port 80, and one whose backend is that port of an address.
class LocalAddressTest : public testing::Test {
 protected:
  void put() {
    Service leads_back = service("file/b", "192.0.2.2", {"10.0.0.7"});
    leads_back.ports[0].port = 81;
    leads_back.ports[0].backends[0].port = 80;
    coordinator.put({{1, 1}, {service("file/a", "0.0.0.0"), leads_back}}, [](const auto&) {});
  }
  size_t backends() const {
    const auto& services = path.applied.back()->services;
    return services.back().ports.at(0).backends.size();
  }

  FakePath path;
  std::set<IpAddress> local;
  int asked = 0, told = 0;
  Coordinator coordinator{path,
                          {},
                          [this](const auto&) { ++told; },
                          [this] {
                            ++asked;
                            return local;
                          }};
};

TEST_F(LocalAddressTest, ABackendOnAnAddressThatIsNewHereIsRefusedWithTheNextChange) {
  local = {ip("10.0.0.7")};
  put();
  EXPECT_EQ(backends(), 0U);
  ASSERT_THAT(coordinator.failed(), SizeIs(1));
  EXPECT_EQ(coordinator.failed()[0].reason, "AddressRefused");
}

TEST_F(LocalAddressTest, WhatIsHeldIsJudgedAnewWhenAddressesChange) {
  put();
  ASSERT_EQ(backends(), 1U);
  local = {ip("10.0.0.7")};
  coordinator.addresses_changed();
  EXPECT_EQ(backends(), 0U);
  EXPECT_THAT(coordinator.failed(), SizeIs(1));
  local.clear();
  coordinator.addresses_changed();
  EXPECT_EQ(backends(), 1U);
  EXPECT_THAT(coordinator.failed(), SizeIs(0));
  EXPECT_EQ(told, 1) << "what is held is the same";
}

TEST_F(LocalAddressTest, AddressesThatAreTheSameChangeNothing) {
  put();
  coordinator.addresses_changed();
  EXPECT_THAT(path.applied, SizeIs(1));
}

TEST_F(LocalAddressTest, WithoutAWildcardNobodyAsks) {
  coordinator.put({{1, 1}, {service("file/a", "192.0.2.1")}}, [](const auto&) {});
  coordinator.addresses_changed();
  EXPECT_EQ(asked, 0);
}

class OwnWildcardTest : public testing::Test {
 protected:
  void put(uint16_t backend_port) {
    Service out = service("file/a", "192.0.2.1", {"10.0.0.7"});
    out.ports[0].backends[0].port = backend_port;
    coordinator.put({{1, ++generation}, {out}}, [](const auto&) {});
  }

  FakePath path;
  uint64_t generation = 0;
  int asked = 0;
  Coordinator coordinator{path, {{{ip("0.0.0.0"), 9901}}, {}}, {}, [this] {
                            ++asked;
                            return std::set{ip("10.0.0.7")};
                          }};
};

TEST_F(OwnWildcardTest, ABackendThatIsOurOwnServerOnAnAddressThatIsNewHereIsRefused) {
  put(9901);
  ASSERT_THAT(coordinator.failed(), SizeIs(1));
  EXPECT_EQ(coordinator.failed()[0].backend, "10.0.0.7:9901");
}

TEST_F(OwnWildcardTest, WhereNoBackendHasItsPortNobodyAsks) {
  put(9902);
  coordinator.addresses_changed();
  EXPECT_EQ(asked, 0);
}

TEST_F(LocalAddressTest, AChangeOfAddressesWaitsForTheOneBeforeIt) {
  path.at_once = false;
  put();
  local = {ip("10.0.0.7")};
  coordinator.addresses_changed();
  EXPECT_THAT(path.applied, SizeIs(1));
  path.complete();
  EXPECT_THAT(path.applied, SizeIs(2));
  EXPECT_EQ(backends(), 0U);
  path.complete();
  EXPECT_TRUE(coordinator.settled());
}

}  // namespace
}  // namespace lb::dataplane
