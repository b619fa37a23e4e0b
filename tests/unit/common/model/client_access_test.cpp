// Who may come, by allow list and deny list.
#include "common/model/client_access.hpp"

#include <gtest/gtest.h>

#include "common/model/state_json.hpp"

namespace lb {
namespace {

IpAddress client(const char* text) { return IpAddress::parse(text).value(); }
std::vector<Cidr> ranges(const char* text) { return {Cidr::parse(text).value()}; }

TEST(ClientAccess, WithoutListsEverybodyMayCome) {
  EXPECT_TRUE(lets_in({}, client("192.0.2.1")));
  EXPECT_TRUE(lets_in({}, std::nullopt));
  EXPECT_FALSE(has_access_list({}));
}

TEST(ClientAccess, OnlyThoseOfTheRangesMayCome) {
  Policy policy;
  policy.source_ranges = ranges("10.0.0.0/8");
  EXPECT_TRUE(lets_in(policy, client("10.1.2.3")));
  EXPECT_FALSE(lets_in(policy, client("192.0.2.1")));
}

TEST(ClientAccess, AllButTheDeniedMayCome) {
  Policy policy;
  policy.deny_ranges = ranges("10.0.0.0/8");
  EXPECT_FALSE(lets_in(policy, client("10.1.2.3")));
  EXPECT_TRUE(lets_in(policy, client("192.0.2.1")));
  EXPECT_TRUE(has_access_list(policy));
}

TEST(ClientAccess, DenyingGoesBeforeAllowing) {
  Policy policy;
  policy.source_ranges = ranges("10.0.0.0/8");
  policy.deny_ranges = ranges("10.9.0.0/16");
  EXPECT_TRUE(lets_in(policy, client("10.1.2.3")));
  EXPECT_FALSE(lets_in(policy, client("10.9.2.3")));
  EXPECT_FALSE(lets_in(policy, client("192.0.2.1")));
}

TEST(ClientAccess, RangesAreOfTheirFamily) {
  Policy policy;
  policy.deny_ranges = ranges("0.0.0.0/0");
  EXPECT_TRUE(lets_in(policy, client("2001:db8::1")));
}

TEST(ClientAccess, WhoIsNotKnownIsNotLetInByAList) {
  Policy policy;
  policy.deny_ranges = ranges("10.0.0.0/8");
  EXPECT_FALSE(lets_in(policy, std::nullopt));
}

TEST(ClientAccess, TheDeniedTravelWithThePolicy) {
  const auto state = decode_state(
      R"({"schema":"empalme.io/v1","epoch":1,"generation":1,"services":[{"key":"a",
          "policy":{"deny_ranges":["192.0.2.0/24","10.0.0.0/8"]},
          "ports":[{"port":1},{"port":2,"policy":{"deny_ranges":[]}}]}]})");
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->services[0].policy.deny_ranges.size(), 2u);
  EXPECT_EQ(state->services[0].ports[0].policy.deny_ranges, state->services[0].policy.deny_ranges);
  EXPECT_TRUE(state->services[0].ports[1].policy.deny_ranges.empty());
  EXPECT_EQ(decode_state(encode_state(*state)).value(), *state);
}

}  // namespace
}  // namespace lb
