// Shares between groups of backends, whatever becomes of the backends.
#include "dataplane/balance/grouped.hpp"

#include <gtest/gtest.h>

#include <map>

#include "tests/unit/dataplane/balance/balance_support.hpp"

namespace lb::balance {
namespace {

std::vector<GroupShare> groups(const std::vector<uint16_t>& weights) {
  std::vector<GroupShare> out;
  for (const uint16_t weight : weights) {
    out.push_back({hash_of("group " + std::to_string(out.size())), weight});
  }
  return out;
}

// So many backends of weight 1 in each group.
Candidates members(const std::vector<size_t>& sizes) {
  Candidates out;
  for (size_t group = 0; group < sizes.size(); ++group) {
    for (auto each : equals(sizes[group], uint32_t(1 + out.size()))) {
      each.group = uint16_t(group);
      out.push_back(each);
    }
  }
  return out;
}

Counts by_group(const Counts& picks, const Candidates& candidates, size_t groups) {
  Counts out(groups);
  for (size_t i = 0; i < picks.size(); ++i) out[candidates[i].group] += picks[i];
  return out;
}

class GroupedTest : public testing::Test {
 protected:
  GroupedTest() : start_(seed()), random_(start_) {}

  Counts picks(const std::vector<uint16_t>& weights, const Candidates& candidates,
               Balance policy = Balance::kRoundRobin, const PickOptions& options = {}) {
    Grouped picker(policy, 0, groups(weights));
    return by_group(shares(picker, candidates, kPicks, random_, options), candidates,
                    weights.size());
  }
  void expect_shares(const Counts& got, const std::vector<double>& shares) {
    for (size_t i = 0; i < shares.size(); ++i) {
      EXPECT_NEAR(got[i], kPicks * shares[i], kPicks * 0.01) << "group " << i;
    }
  }

  uint32_t start_;
  Random random_;
  testing::ScopedTrace trace_{__FILE__, __LINE__, seed_text(start_)};
};

TEST_F(GroupedTest, SharesAreThoseOfTheGroupsUnderEveryPolicy) {
  for (const Balance policy : kPolicies) {
    SCOPED_TRACE(to_string(policy));
    expect_shares(picks({9, 1}, members({2, 3}), policy), {0.9, 0.1});
  }
}

TEST_F(GroupedTest, SharesDoNotDependOnHowManyOrHowHeavyTheBackendsAre) {
  auto candidates = members({1, 8});
  candidates[5].weight = 500;
  expect_shares(picks({70, 30}, candidates), {0.7, 0.3});
}

TEST_F(GroupedTest, WithinAGroupTheBackendsWeightsHold) {
  auto candidates = members({3, 1});
  candidates[2].weight = 2;
  Grouped picker(Balance::kRoundRobin, 0, groups({1, 1}));
  const Counts got = shares(picker, candidates, kPicks, random_);
  EXPECT_NEAR(got[0], kPicks * 0.125, kPicks * 0.01);
  EXPECT_NEAR(got[2], kPicks * 0.25, kPicks * 0.01);
  EXPECT_NEAR(got[3], kPicks * 0.5, kPicks * 0.01);
}

TEST_F(GroupedTest, AGroupThatIsEmptyLeavesItsShareToTheOthersByTheirWeights) {
  expect_shares(picks({50, 30, 10}, members({0, 2, 2})), {0, 0.75, 0.25});
}

TEST_F(GroupedTest, AGroupWhoseBackendsAreAllDownOrEjectedLeavesItsShareToo) {
  auto candidates = members({2, 2});
  candidates[0].health = candidates[1].health = Health::kDown;
  expect_shares(picks({90, 10}, candidates), {0, 1});
  candidates[0].health = candidates[1].health = Health::kUnknown;
  candidates[0].ejected = candidates[1].ejected = true;
  expect_shares(picks({90, 10}, candidates), {0, 1});
}

TEST_F(GroupedTest, TheShareOfAGroupHoldsWhileSomebodyOfItIsLeft) {
  auto candidates = members({2, 2});
  candidates[0].ejected = true;
  expect_shares(picks({90, 10}, candidates), {0.9, 0.1});
}

TEST_F(GroupedTest, DrainingGroupsServeOnlyWhereAllAreDraining) {
  auto candidates = members({1, 1});
  candidates[0].state = BackendState::kDraining;
  expect_shares(picks({90, 10}, candidates), {0, 1});
  candidates[1].state = BackendState::kDraining;
  expect_shares(picks({90, 10}, candidates), {0.9, 0.1});
}

TEST_F(GroupedTest, AKnownAnswerOfOneGroupTakesNothingFromAnotherThatIsNotChecked) {
  auto candidates = members({1, 1});
  candidates[0].health = Health::kUp;
  expect_shares(picks({50, 50}, candidates), {0.5, 0.5});
}

TEST_F(GroupedTest, PanicCountsWithinAGroup) {
  auto candidates = members({2, 2});
  candidates[0].health = candidates[1].health = Health::kDown;
  expect_shares(picks({50, 50}, candidates, Balance::kRoundRobin, {.panic_percent = 40}),
                {0.5, 0.5});
}

TEST_F(GroupedTest, AWeightOfZeroGetsNobodyEvenAlone) {
  expect_shares(picks({1, 0}, members({1, 1})), {1, 0});
  expect_shares(picks({1, 0}, members({0, 1})), {0, 0});
}

TEST_F(GroupedTest, WhoIsMeantForAGroupGetsItWhateverItWeighs) {
  Grouped picker(Balance::kRoundRobin, 0, groups({1, 0}));
  const auto candidates = members({2, 2});
  for (int i = 0; i < 10; ++i) {
    EXPECT_GE(*picker.pick(candidates, {.group = uint16_t{1}}, {}), 2u);
  }
}

TEST_F(GroupedTest, WhoIsMeantForAGroupThatHasNobodyIsServedByTheOthers) {
  Grouped picker(Balance::kRoundRobin, 0, groups({1, 1}));
  auto candidates = members({1, 1});
  candidates[1].health = Health::kDown;
  EXPECT_EQ(picker.pick(candidates, {.group = uint16_t{1}}, {}), 0u);
}

class StickyTest : public GroupedTest {
 protected:
  static constexpr uint64_t kClients = 20'000;
  using Choices = std::vector<uint16_t>;

  Choices choices(const std::vector<uint16_t>& weights, const Candidates& candidates) {
    Grouped picker(Balance::kRoundRobin, 0, groups(weights));
    Choices out;
    for (uint64_t client = 0; client < kClients; ++client) {
      const auto picked = picker.pick(candidates, {.sticky_hash = mix(client)}, {});
      out.push_back(picked ? candidates[*picked].group : uint16_t{99});
    }
    return out;
  }
  static double share(const Choices& choices, uint16_t group) {
    return double(std::count(choices.begin(), choices.end(), group)) / double(choices.size());
  }
  static double moved(const Choices& a, const Choices& b) {
    size_t out = 0;
    for (size_t i = 0; i < a.size(); ++i) out += a[i] != b[i];
    return double(out) / double(a.size());
  }
};

TEST_F(StickyTest, SharesOfClientsAreThoseOfTheGroups) {
  const Choices got = choices({90, 7, 3}, members({1, 5, 2}));
  EXPECT_NEAR(share(got, 0), 0.90, 0.01);
  EXPECT_NEAR(share(got, 1), 0.07, 0.01);
  EXPECT_NEAR(share(got, 2), 0.03, 0.01);
}

TEST_F(StickyTest, AClientHasTheSameGroupWhicheverBackendsComeAndGo) {
  EXPECT_EQ(choices({70, 30}, members({1, 5})), choices({70, 30}, members({4, 1})));
}

TEST_F(StickyTest, OnlyThoseMoveWhoMustWhenTheWeightsChange) {
  const auto before = choices({90, 10}, members({2, 2}));
  const auto after = choices({50, 50}, members({2, 2}));
  EXPECT_NEAR(moved(before, after), 0.4, 0.01);
}

TEST_F(StickyTest, OnlyAnEmptyGroupsClientsMoveAndComeBack) {
  const auto whole = choices({50, 30, 20}, members({1, 1, 1}));
  const auto without = choices({50, 30, 20}, members({1, 0, 1}));
  EXPECT_NEAR(moved(whole, without), 0.3, 0.01);
  for (size_t i = 0; i < whole.size(); ++i) {
    if (whole[i] == 1) continue;
    ASSERT_EQ(without[i], whole[i]);
  }
}

TEST_F(GroupedTest, SharesHoldOverAFewHundredPicksToo) {
  const auto candidates = members({1, 1});
  for (const auto& [weights, share] :
       std::map<std::vector<uint16_t>, double>{{{90, 10}, 0.9}, {{50, 50}, 0.5}, {{1, 99}, 0.01}}) {
    const auto picker = make_picker(Balance::kRoundRobin, 1, groups(weights));
    const Counts got = shares(*picker, candidates, 200, random_);
    EXPECT_NEAR(got[0], 200 * share, 1);
  }
}

TEST_F(GroupedTest, ACandidateOfNoGroupIsNeverPicked) {
  auto candidates = members({1, 1});
  candidates[1].group = 7;
  Grouped picker(Balance::kRoundRobin, 0, groups({1, 1}));
  EXPECT_EQ(shares(picker, candidates, 100, random_), (Counts{100, 0}));
}

TEST_F(GroupedTest, NobodyLeftIsNobody) {
  Grouped picker(Balance::kRoundRobin, 0, groups({1, 1}));
  EXPECT_EQ(picker.pick({}, {}, {}), std::nullopt);
}

}  // namespace
}  // namespace lb::balance
