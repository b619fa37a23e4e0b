#include "dataplane/balance/random_two.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/dataplane/balance/balance_support.hpp"

namespace lb::balance {
namespace {

class RandomTwoTest : public ::testing::Test {
 protected:
  const uint32_t start_ = seed();
  ::testing::ScopedTrace trace_{__FILE__, __LINE__, seed_text(start_)};
  Random random_{start_};
  RandomTwo picker_;
};

// While nobody has a connection all ties go to the first drawn, so the count of each is binomial:
// six standard deviations are at most 0.95 % of the picks, and missed once in 500 million runs.
TEST_F(RandomTwoTest, SharesByWeightWhileIdleWithinSixDeviations) {
  const Counts got = shares(picker_, with_weights({5, 3, 2}), kPicks, random_);
  const double parts[] = {0.5, 0.3, 0.2};
  for (size_t i = 0; i < 3; ++i) {
    const double deviation = std::sqrt(kPicks * parts[i] * (1 - parts[i]));
    EXPECT_NEAR(got[i], kPicks * parts[i], 6 * deviation);
  }
}

// Who ends is random too, so what a backend gets is what it holds: its weight's part, for any set
// of backends is drawn alone less often than its part. What remains is noise of about 0.3 %.
TEST_F(RandomTwoTest, SharesByWeightUnderLoadWithinOnePercent) {
  const Counts got = shares_under_load(picker_, with_weights({5, 3, 2}), kPicks, 1000, random_);
  EXPECT_NEAR(got[0], kPicks * 0.5, kPicks * 0.01);
  EXPECT_NEAR(got[1], kPicks * 0.3, kPicks * 0.01);
  EXPECT_NEAR(got[2], kPicks * 0.2, kPicks * 0.01);
}

TEST_F(RandomTwoTest, OfTwoAlwaysPicksTheLessLoaded) {
  const Candidates candidates = {{.connections = 5}, {.connections = 4}};
  EXPECT_EQ(shares(picker_, candidates, 1000, random_), (Counts{0, 1000}));
}

TEST_F(RandomTwoTest, NeverPicksTheMostLoadedOfAll) {
  Candidates candidates = equals(10);
  candidates[3].connections = 1;
  EXPECT_EQ(shares(picker_, candidates, 10'000, random_)[3], 0U);
}

TEST_F(RandomTwoTest, DrawsTwoDifferentOnes) {
  Candidates candidates = {{.weight = UINT16_MAX, .connections = UINT32_MAX}, {.weight = 1}};
  EXPECT_EQ(shares(picker_, candidates, 1000, random_), (Counts{0, 1000}));
}

TEST_F(RandomTwoTest, PicksTheOnlyOne) {
  EXPECT_EQ(shares(picker_, {{.weight = 0}, {.connections = 9}, {.tried = true}}, 10, random_),
            (Counts{0, 10, 0}));
}

TEST_F(RandomTwoTest, GivesNobodyWhenNobodyIsLeft) {
  EXPECT_FALSE(picker_.pick({}, {}, {}).has_value());
  EXPECT_FALSE(picker_.pick(Candidates{{.weight = 0}}, {}, {}).has_value());
}

TEST_F(RandomTwoTest, TakesTheEndsOfTheRandomRange) {
  const Candidates candidates = with_weights({1, 2, 0});
  EXPECT_EQ(picker_.pick(candidates, {0, 0}, {}), 0U);
  EXPECT_EQ(picker_.pick(candidates, {0, UINT64_MAX}, {}), 1U);
}

TEST_F(RandomTwoTest, GivesABackendInSlowStartItsPartOfItsWeight) {
  const Candidates candidates = {{.share = 250}, {}, {}};
  const Counts got = shares(picker_, candidates, kPicks, random_);
  EXPECT_NEAR(got[0], kPicks / 9.0, kPicks * 0.01);
}

TEST_F(RandomTwoTest, KeepsTheFullestNearTheMean) {
  Candidates candidates = equals(50);
  for (int i = 0; i < 50'000; ++i) {
    ++candidates[*picker_.pick(candidates, random_input(random_), {})].connections;
  }
  for (const Candidate& each : candidates) EXPECT_NEAR(each.connections, 1000, 15);
}

TEST_F(RandomTwoTest, WorkersThatDrawAlikeStillSpread) {
  RandomTwo other;
  Random elsewhere(start_ + 1);
  const Candidates candidates = equals(4);
  const Counts left = shares(picker_, candidates, kPicks / 2, random_);
  const Counts right = shares(other, candidates, kPicks / 2, elsewhere);
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(left[i] + right[i], kPicks / 4, kPicks * 0.01);
}

}  // namespace
}  // namespace lb::balance
