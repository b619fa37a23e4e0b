// Where a connection goes after a dial that failed: elsewhere, and not next door.
#include "dataplane/balance/another.hpp"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/dataplane/balance/balance_support.hpp"

namespace lb::balance {
namespace {

using Nodes = std::vector<uint32_t>;

// Picks as a connection does that has so many attempts, of which those at the `dead` fail.
struct Connection {
  Candidates candidates;
  Nodes nodes = {};
  std::set<size_t> dead = {};

  bool reaches_somebody(Picker& picker, int attempts, Random& random) const {
    Candidates now = candidates;
    auto picked = picker.pick(now, random_input(random), {});
    for (int i = 1; picked && dead.contains(*picked) && i < attempts; ++i) {
      now[*picked].tried = true;
      Candidates narrowed = now;
      leave_out_nodes(narrowed, nodes, {});
      picked = draw_another(narrowed, random(), {});
    }
    return picked && !dead.contains(*picked);
  }
};

std::set<size_t> range(size_t first, size_t count) {
  std::set<size_t> out;
  for (size_t i = first; i < first + count; ++i) out.insert(i);
  return out;
}

TEST(Another, TenDeadNeighboursOfThirtyFailNoMoreThanChanceWouldHaveIt) {
  const uint32_t start = seed();
  SCOPED_TRACE(seed_text(start));
  Random random(start);
  constexpr int kConnections = 30'000;
  for (const Balance policy : {Balance::kRoundRobin, Balance::kLeastConnections}) {
    const auto picker = make_picker(policy, 0);
    const Connection each{.candidates = equals(30), .dead = range(10, 10)};
    int failed = 0;
    for (int i = 0; i < kConnections; ++i) failed += !each.reaches_somebody(*picker, 3, random);
    EXPECT_LT(failed, kConnections * 0.037) << to_string(policy);
    EXPECT_GT(failed, 0) << "three at random are all dead now and then";
  }
}

TEST(Another, NobodyFailsWhenOneNodeOfThreeIsDead) {
  const uint32_t start = seed();
  SCOPED_TRACE(seed_text(start));
  Random random(start);
  for (const Balance policy : {Balance::kRoundRobin, Balance::kRandomTwo}) {
    const auto picker = make_picker(policy, 0);
    Connection each{.candidates = equals(30), .dead = range(0, 10)};
    for (uint32_t i = 0; i < 30; ++i) each.nodes.push_back(1 + i / 10);
    for (int i = 0; i < 3'000; ++i) EXPECT_TRUE(each.reaches_somebody(*picker, 2, random)) << i;
  }
}

TEST(Another, IsDrawnByWeight) {
  const uint32_t start = seed();
  SCOPED_TRACE(seed_text(start));
  Random random(start);
  Candidates candidates = with_weights({1, 2, 7, 100, 0});
  candidates[3].tried = true;
  Counts got(candidates.size());
  for (int i = 0; i < 100'000; ++i) ++got[*draw_another(candidates, random(), {})];
  EXPECT_NEAR(got[0], 10'000, 600);
  EXPECT_NEAR(got[1], 20'000, 800);
  EXPECT_NEAR(got[2], 70'000, 900);
  EXPECT_EQ(got[3] + got[4], 0U);
}

TEST(Another, IsTheSameForTheSameBits) {
  const Candidates candidates = equals(50);
  for (uint64_t bits = 1; bits != 0; bits <<= 1) {
    EXPECT_EQ(draw_another(candidates, bits, {}), draw_another(candidates, bits, {}));
  }
}

TEST(Another, StaysInTheBestTierWhateverTheNode) {
  Candidates candidates = equals(3);
  candidates[0].tried = true;
  candidates[2].state = BackendState::kDraining;
  leave_out_nodes(candidates, Nodes{1, 1, 2}, {});
  EXPECT_EQ(draw_another(candidates, 0, {}), 1U) << "ready, though on the node that failed";
}

TEST(Another, GoesToTheSameNodeForWantOfAnother) {
  Candidates candidates = equals(3);
  candidates[0].tried = true;
  leave_out_nodes(candidates, Nodes{1, 1, 1}, {});
  EXPECT_FALSE(candidates[1].tried || candidates[2].tried);
}

TEST(Another, AnUnknownNodeIsNobodysNeighbour) {
  Candidates candidates = equals(4);
  candidates[0].tried = true;
  candidates[2].tried = true;
  leave_out_nodes(candidates, Nodes{0, 0, 5, 5}, {});
  EXPECT_FALSE(candidates[1].tried);
  EXPECT_TRUE(candidates[3].tried);
}

TEST(Another, WithoutNodesNobodyIsLeftOut) {
  Candidates candidates = equals(3);
  candidates[0].tried = true;
  leave_out_nodes(candidates, {}, {});
  EXPECT_FALSE(candidates[1].tried || candidates[2].tried);
}

TEST(Another, IsNobodyWhenAllWereTried) {
  Candidates candidates = equals(2);
  for (Candidate& each : candidates) each.tried = true;
  EXPECT_EQ(draw_another(candidates, 7, {}), std::nullopt);
}

Candidates two_groups() {
  Candidates out = equals(4);
  out[2].group = out[3].group = 1;
  return out;
}

std::vector<uint16_t> weights(const Candidates& candidates) {
  std::vector<uint16_t> out;
  for (const auto& each : candidates) out.push_back(each.weight);
  return out;
}

TEST(StayInGroup, LeavesOutTheOthersAsLongAsSomebodySoundIsThere) {
  Candidates candidates = two_groups();
  candidates[2].tried = true;
  EXPECT_TRUE(stay_in_group(candidates, 1));
  EXPECT_EQ(weights(candidates), (std::vector<uint16_t>{0, 0, 1, 1}));
}

TEST(StayInGroup, LeavesOutNobodyWhereTheRestOfTheGroupIsNotSound) {
  const std::vector<void (*)(Candidate&)> wants{
      [](Candidate& each) { each.tried = true; }, [](Candidate& each) { each.ejected = true; },
      [](Candidate& each) { each.weight = 0; },
      [](Candidate& each) { each.health = Health::kDown; },
      [](Candidate& each) { each.state = BackendState::kDraining; }};
  for (size_t i = 0; i < wants.size(); ++i) {
    Candidates candidates = two_groups();
    candidates[2].tried = true;
    wants[i](candidates[3]);
    const auto before = weights(candidates);
    EXPECT_FALSE(stay_in_group(candidates, 1)) << i;
    EXPECT_EQ(weights(candidates), before) << i;
  }
}

TEST(StayInGroup, ANodeOnWhichOnlyAnotherGroupIsHasNotFailed) {
  // A group's backends on nodes 1, 1 and 2, the other's on 1 and 2: as two versions everywhere.
  Candidates candidates = equals(5);
  candidates[3].group = candidates[4].group = 1;
  candidates[0].tried = true;
  const Nodes nodes{1, 1, 2, 1, 2};
  ASSERT_TRUE(stay_in_group(candidates, 0));
  leave_out_nodes(candidates, nodes, {});
  Random random(seed());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(draw_another(candidates, random(), {}), 2u);
}

}  // namespace
}  // namespace lb::balance
