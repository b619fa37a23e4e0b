#include "dataplane/announce/found_addresses.hpp"

#include <gmock/gmock.h>

namespace lb::announce {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using Outcome = FoundAddresses::Outcome;

const IpAddress kFirst = IpAddress::v4(0xc0000264);
const IpAddress kSecond = IpAddress::v4(0xc0000265);
const IpAddress kOwn = IpAddress::v4(0xc0000201);

class FoundAddressesTest : public testing::Test {
 protected:
  Outcome settle(std::chrono::milliseconds after = 0ms) {
    return found.settle(
        wanted, present, [this](const IpAddress& each) { return held.contains(each); },
        start + after);
  }

  FoundAddresses found;
  std::set<IpAddress> wanted{kFirst, kSecond}, present{kFirst, kSecond, kOwn}, held;
  const FoundAddresses::Clock::time_point start = FoundAddresses::Clock::now();
};

TEST_F(FoundAddressesTest, WithoutAnotherProcessEverythingIsToldAtOnce) {
  EXPECT_FALSE(found.waiting());
  EXPECT_THAT(found.without(wanted), ElementsAre(kFirst, kSecond));
}

TEST_F(FoundAddressesTest, WhatIsThereIsLeftOut) {
  found.take({kFirst, kOwn}, start + 1s);
  EXPECT_TRUE(found.waiting());
  EXPECT_THAT(found.without(wanted), ElementsAre(kSecond));
}

TEST_F(FoundAddressesTest, OneThatIsNotHeldYetKeepsAllWaiting) {
  found.take(present, start + 1s);
  held = {kFirst};
  EXPECT_EQ(settle(), Outcome::kWaiting);
  EXPECT_THAT(found.without(wanted), IsEmpty());
}

TEST_F(FoundAddressesTest, OnceAllAreHeldTheyAreTold) {
  found.take(present, start + 1s);
  held = {kFirst, kSecond};
  EXPECT_EQ(settle(), Outcome::kOurs);
  EXPECT_THAT(found.without(wanted), ElementsAre(kFirst, kSecond));
  EXPECT_FALSE(found.waiting());
}

TEST_F(FoundAddressesTest, OneThatHasGoneToAnotherMachineIsNotWaitedFor) {
  found.take(present, start + 1s);
  held = {kFirst};
  present.erase(kSecond);
  EXPECT_EQ(settle(), Outcome::kOurs);
}

TEST_F(FoundAddressesTest, OneThatIsNotWantedAnyMoreIsNotWaitedFor) {
  found.take(present, start + 1s);
  held = {kFirst};
  wanted.erase(kSecond);
  EXPECT_EQ(settle(), Outcome::kOurs);
}

TEST_F(FoundAddressesTest, OneThatComesLaterIsNotWaitedFor) {
  found.take({kFirst}, start + 1s);
  held = {kFirst};
  EXPECT_EQ(settle(), Outcome::kOurs);
}

TEST_F(FoundAddressesTest, WhenTheOtherIsGoneTheyAreToldThoughItIsLate) {
  found.take(present, start + 1s);
  EXPECT_EQ(settle(999ms), Outcome::kWaiting);
  EXPECT_EQ(settle(1s), Outcome::kLate);
  EXPECT_THAT(found.without(wanted), ElementsAre(kFirst, kSecond));
}

TEST_F(FoundAddressesTest, AllHeldIsNotLateHoweverLateItIsSeen) {
  found.take(present, start + 1s);
  held = {kFirst, kSecond};
  EXPECT_EQ(settle(1h), Outcome::kOurs);
}

}  // namespace
}  // namespace lb::announce
