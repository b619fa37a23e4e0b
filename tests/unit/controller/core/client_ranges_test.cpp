#include "controller/core/client_ranges.hpp"

#include <gtest/gtest.h>

#include <random>

namespace lb::plan {
namespace {

std::vector<Cidr> ranges(const std::vector<std::string>& texts) {
  std::vector<Cidr> out;
  for (const auto& each : texts) out.push_back(Cidr::parse(each).value());
  return out;
}

bool same(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return within(ranges(a), ranges(b)) && within(ranges(b), ranges(a));
}

TEST(ClientRanges, ARangeIsTheSameAsItsHalves) {
  EXPECT_TRUE(same({"10.0.0.0/24"}, {"10.0.0.128/25", "10.0.0.0/25"}));
  EXPECT_TRUE(same({"2001:db8::/32"}, {"2001:db8::/33", "2001:db8:8000::/33"}));
  EXPECT_TRUE(same({"0.0.0.0/0"}, {"0.0.0.0/1", "128.0.0.0/1"}));
}

TEST(ClientRanges, WhatIsNamedTwiceIsNamedOnce) {
  EXPECT_TRUE(same({"10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8"}, {"10.0.0.0/8"}));
}

TEST(ClientRanges, NeighboursThatMakeNoCidrStillHoldWhatLiesInBoth) {
  EXPECT_TRUE(
      within(ranges({"10.0.0.0/24"}), ranges({"10.0.0.0/25", "10.0.0.128/25", "10.0.1.0/24"})));
  EXPECT_FALSE(within(ranges({"10.0.0.0/24"}), ranges({"10.0.0.0/25", "10.0.0.192/26"})));
}

TEST(ClientRanges, TheLastOfOneFamilyIsNoNeighbourOfTheOther) {
  EXPECT_FALSE(within(ranges({"::/0"}), ranges({"0.0.0.0/0", "::/1"})));
  EXPECT_FALSE(within(ranges({"::/128"}), ranges({"255.255.255.255"})));
}

TEST(ClientRanges, EveryoneIsEveryIpv4ClientWithoutAWordOfIpv6) {
  EXPECT_TRUE(says_everyone(ranges({"10.0.0.0/8", "0.0.0.0/0"})));
  EXPECT_FALSE(says_everyone(ranges({"0.0.0.0/0", "2001:db8::/32"})));
  EXPECT_FALSE(says_everyone(ranges({"10.0.0.0/8"})));
  EXPECT_FALSE(says_everyone({}));
}

// Against the definition: every address of a small network, asked one by one.
TEST(ClientRanges, AgreeWithAskingEachAddress) {
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  const auto some = [&] {
    std::vector<Cidr> out;
    for (unsigned n = random() % 5; n > 0; --n) {
      out.emplace_back(IpAddress::v4(0x0a000000u | random() % 64), uint8_t(26 + random() % 7));
    }
    return out;
  };
  const auto names = [](const std::vector<Cidr>& list, const IpAddress& address) {
    return std::any_of(list.begin(), list.end(),
                       [&](const Cidr& c) { return c.contains(address); });
  };
  for (int round = 0; round < 2000; ++round) {
    const auto inner = some(), outer = some();
    bool expected = true;
    for (uint32_t i = 0; i < 64; ++i) {
      const auto address = IpAddress::v4(0x0a000000u + i);
      expected = expected && (!names(inner, address) || names(outer, address));
    }
    ASSERT_EQ(within(inner, outer), expected) << "seed " << seed << ", round " << round;
  }
}

}  // namespace
}  // namespace lb::plan
