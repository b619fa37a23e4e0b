#include "dataplane/balance/picker.hpp"

#include <gtest/gtest.h>

#include "tests/unit/dataplane/balance/balance_support.hpp"

namespace lb::balance {
namespace {

TEST(Picker, SaysWhatItsPolicyReads) {
  EXPECT_FALSE(needs_connections(Balance::kRoundRobin));
  EXPECT_TRUE(needs_connections(Balance::kLeastConnections));
  EXPECT_TRUE(needs_connections(Balance::kRandomTwo));
  EXPECT_TRUE(needs_connections(Balance::kMaglev));
  EXPECT_TRUE(needs_random(Balance::kRandomTwo));
  EXPECT_TRUE(needs_client_hash(Balance::kMaglev));
}

// What a policy does not ask for, it must not depend on.
TEST(Picker, DependsOnNothingElse) {
  const uint32_t start = seed();
  SCOPED_TRACE(seed_text(start));
  Random random(start);
  const Candidates candidates = equals(5);
  for (const Balance policy : kPolicies) {
    SCOPED_TRACE(to_string(policy));
    const auto one = make_picker(policy, 2), other = make_picker(policy, 2);
    for (int i = 0; i < 200; ++i) {
      const PickInput given = random_input(random);
      PickInput needed;
      if (needs_client_hash(policy)) needed.client_hash = given.client_hash;
      if (needs_random(policy)) needed.random = given.random;
      ASSERT_EQ(one->pick(candidates, given, {}), other->pick(candidates, needed, {}));
    }
  }
}

TEST(Picker, RoundRobinDoesNotLookAtConnections) {
  const auto picker = make_picker(Balance::kRoundRobin, 0);
  const Candidates candidates = {{.connections = 100}, {}};
  EXPECT_EQ(picker->pick(candidates, {}, {}), 0U);
  EXPECT_EQ(picker->pick(candidates, {}, {}), 1U);
}

TEST(Picker, StandsAListThatGrowsAndShrinksFromPickToPick) {
  const uint32_t start = seed();
  SCOPED_TRACE(seed_text(start));
  Random random(start);
  for (const Balance policy : kPolicies) {
    SCOPED_TRACE(to_string(policy));
    const auto picker = make_picker(policy, random());
    for (int i = 0; i < 200; ++i) {
      const Candidates candidates = equals(random() % 9);
      const auto picked = picker->pick(candidates, random_input(random), {});
      ASSERT_EQ(picked.has_value(), !candidates.empty());
      ASSERT_LT(picked.value_or(0), std::max<size_t>(candidates.size(), 1));
    }
  }
}

TEST(Picker, TwoWorkersSpreadEvenlyTogether) {
  const uint32_t start = seed();
  SCOPED_TRACE(seed_text(start));
  Random random(start);
  const Candidates candidates = equals(5);
  for (const Balance policy : kPolicies) {
    SCOPED_TRACE(to_string(policy));
    const auto left = make_picker(policy, 0), right = make_picker(policy, 1);
    const Counts lefts = shares(*left, candidates, kPicks, random);
    const Counts rights = shares(*right, candidates, kPicks, random);
    for (size_t i = 0; i < 5; ++i) {
      EXPECT_NEAR(lefts[i] + rights[i], 2 * kPicks / 5, 2 * kPicks * 0.01);
    }
  }
}

}  // namespace
}  // namespace lb::balance
