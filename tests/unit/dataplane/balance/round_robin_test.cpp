#include "dataplane/balance/round_robin.hpp"

#include <gtest/gtest.h>

namespace lb::balance {
namespace {

constexpr int kPicks = 100'000;

std::vector<int> shares(RoundRobin& picker, const std::vector<Candidate>& candidates, int picks) {
  std::vector<int> out(candidates.size());
  for (int i = 0; i < picks; ++i) {
    const auto picked = picker.pick(candidates);
    if (picked) ++out[*picked];
  }
  return out;
}

TEST(RoundRobin, SharesEvenly) {
  RoundRobin picker;
  EXPECT_EQ(shares(picker, {{}, {}, {}}, 300), (std::vector<int>{100, 100, 100}));
}

TEST(RoundRobin, SharesByWeightWithinOnePercent) {
  RoundRobin picker;
  const auto got = shares(picker, {{.weight = 5}, {.weight = 3}, {.weight = 2}}, kPicks);
  EXPECT_NEAR(got[0], kPicks * 0.5, kPicks * 0.01);
  EXPECT_NEAR(got[1], kPicks * 0.3, kPicks * 0.01);
  EXPECT_NEAR(got[2], kPicks * 0.2, kPicks * 0.01);
}

TEST(RoundRobin, SpreadsAHeavyBackendInsteadOfBursting) {
  RoundRobin picker;
  const std::vector<Candidate> candidates = {{.weight = 2}, {.weight = 1}, {.weight = 1}};
  std::vector<size_t> order;
  for (int i = 0; i < 4; ++i) order.push_back(*picker.pick(candidates));
  EXPECT_EQ(order, (std::vector<size_t>{0, 1, 2, 0}));
}

TEST(RoundRobin, NeverPicksWeightZero) {
  RoundRobin picker;
  EXPECT_EQ(shares(picker, {{.weight = 0}, {}}, 10), (std::vector<int>{0, 10}));
  EXPECT_FALSE(picker.pick({{.weight = 0}}).has_value());
}

TEST(RoundRobin, UsesDrainingOnlyWhenNothingIsReady) {
  RoundRobin picker;
  const Candidate draining{.state = BackendState::kDraining};
  EXPECT_EQ(shares(picker, {draining, {}}, 10), (std::vector<int>{0, 10}));
  EXPECT_EQ(shares(picker, {draining, {.state = BackendState::kNotReady}}, 10),
            (std::vector<int>{10, 0}));
}

TEST(RoundRobin, WalksOnToDrainingWhenTheReadyAreTried) {
  RoundRobin picker;
  EXPECT_EQ(picker.pick({{.tried = true}, {.state = BackendState::kDraining}}), 1U);
}

TEST(RoundRobin, SkipsAnEjectedBackendWhileAnotherIsLeft) {
  RoundRobin picker;
  EXPECT_EQ(shares(picker, {{.ejected = true}, {}}, 10), (std::vector<int>{0, 10}));
  EXPECT_EQ(picker.pick({{.ejected = true}}), 0U);
}

TEST(RoundRobin, GivesNobodyWhenNobodyIsLeft) {
  RoundRobin picker;
  EXPECT_FALSE(picker.pick({}).has_value());
  EXPECT_FALSE(picker.pick({{.tried = true}, {.state = BackendState::kNotReady}}).has_value());
}

TEST(RoundRobin, StartsWorkersAtDifferentBackends) {
  RoundRobin first(0), second(1);
  EXPECT_NE(first.pick({{}, {}, {}}), second.pick({{}, {}, {}}));
}

TEST(RoundRobin, StartsAfreshWhenTheSetChanges) {
  RoundRobin picker;
  shares(picker, {{}, {}}, 7);
  EXPECT_EQ(shares(picker, {{}, {}, {}}, 30), (std::vector<int>{10, 10, 10}));
}

}  // namespace
}  // namespace lb::balance
