#include "dataplane/balance/least_connections.hpp"

#include <gtest/gtest.h>

#include "tests/unit/dataplane/balance/balance_support.hpp"

namespace lb::balance {
namespace {

size_t picked(LeastConnections& picker, const Candidates& candidates) {
  return picker.pick(candidates, {}, {}).value_or(SIZE_MAX);
}

TEST(LeastConnections, PicksTheOneWithFewest) {
  LeastConnections picker;
  EXPECT_EQ(picked(picker, {{.connections = 3}, {.connections = 1}, {.connections = 2}}), 1U);
}

TEST(LeastConnections, CountsThemAgainstTheWeight) {
  LeastConnections picker;
  EXPECT_EQ(picked(picker, {{.weight = 10, .connections = 9}, {.weight = 1, .connections = 1}}),
            0U);
  EXPECT_EQ(picked(picker, {{.weight = 10, .connections = 11}, {.weight = 1, .connections = 1}}),
            1U);
}

TEST(LeastConnections, LooksOnlyAtTheBestTier) {
  LeastConnections picker;
  EXPECT_EQ(picked(picker, {{.health = Health::kDown}, {.connections = 50}}), 1U);
  EXPECT_EQ(picked(picker, {{.ejected = true}, {.connections = 50}}), 1U);
  EXPECT_EQ(picked(picker, {{.weight = 0}, {.connections = 50}}), 1U);
}

TEST(LeastConnections, GivesNobodyWhenNobodyIsLeft) {
  LeastConnections picker;
  EXPECT_FALSE(picker.pick({}, {}, {}).has_value());
  EXPECT_FALSE(picker.pick(Candidates{{.tried = true}}, {}, {}).has_value());
}

TEST(LeastConnections, TakesTurnsByWeightAmongTheIdle) {
  LeastConnections picker;
  Random unused(1);
  EXPECT_EQ(shares(picker, with_weights({5, 3, 2}), 1000, unused), (Counts{500, 300, 200}));
}

TEST(LeastConnections, TakesTurnsAmongThoseThatTieOnly) {
  LeastConnections picker;
  Random unused(1);
  const Candidates candidates = {{.connections = 4}, {.connections = 7}, {.connections = 4}};
  EXPECT_EQ(shares(picker, candidates, 100, unused), (Counts{50, 0, 50}));
}

TEST(LeastConnections, SharesByWeightWhileConnectionsEndAtRandom) {
  const uint32_t start = seed();
  SCOPED_TRACE(seed_text(start));
  Random random(start);
  LeastConnections picker;
  const Counts got = shares_under_load(picker, with_weights({5, 3, 2}), kPicks, 1000, random);
  EXPECT_NEAR(got[0], kPicks * 0.5, kPicks * 0.01);
  EXPECT_NEAR(got[1], kPicks * 0.3, kPicks * 0.01);
  EXPECT_NEAR(got[2], kPicks * 0.2, kPicks * 0.01);
}

TEST(LeastConnections, LevelsOutAnUnevenStart) {
  LeastConnections picker;
  Candidates candidates = {{.connections = 90}, {.connections = 30}, {.connections = 0}};
  for (int i = 0; i < 150; ++i) ++candidates[picked(picker, candidates)].connections;
  EXPECT_EQ(candidates[0].connections, 90U);
  EXPECT_EQ(candidates[1].connections, 90U);
  EXPECT_EQ(candidates[2].connections, 90U);
}

TEST(LeastConnections, FillsABackendInSlowStartToItsShareOnly) {
  LeastConnections picker;
  Candidates candidates = {{.connections = 100}, {.share = 100, .connections = 0}};
  for (int i = 0; i < 120; ++i) ++candidates[picked(picker, candidates)].connections;
  EXPECT_EQ(candidates[0].connections, 200U);
  EXPECT_EQ(candidates[1].connections, 20U);
}

TEST(LeastConnections, StaysRightForTheLargestNumbers) {
  LeastConnections picker;
  const Candidate full{.weight = UINT16_MAX, .connections = UINT32_MAX};
  const Candidate almost{.weight = UINT16_MAX, .connections = UINT32_MAX - 1};
  EXPECT_EQ(picked(picker, {full, almost, full}), 1U);
}

TEST(LeastConnections, WorkersStartAtDifferentBackends) {
  LeastConnections left(0), right(1);
  EXPECT_EQ(picked(left, Candidates(3)), 0U);
  EXPECT_EQ(picked(right, Candidates(3)), 1U);
}

}  // namespace
}  // namespace lb::balance
