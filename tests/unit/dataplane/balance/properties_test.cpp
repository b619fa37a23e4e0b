// Laws that hold for every policy, over random lists: shares, slow starts, zones.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "dataplane/balance/slow_start.hpp"
#include "tests/unit/dataplane/balance/balance_support.hpp"

namespace lb::balance {
namespace {

constexpr double kNear = kPicks * 0.01;

class EveryPolicy : public ::testing::TestWithParam<Balance> {
 protected:
  std::vector<uint16_t> random_weights() {
    std::vector<uint16_t> out(2 + random_() % 7);
    for (uint16_t& weight : out) weight = uint16_t(1 + random_() % 10);
    return out;
  }
  std::unique_ptr<Picker> picker() { return make_picker(GetParam(), random_()); }

  const uint32_t start_ = seed();
  ::testing::ScopedTrace trace_{__FILE__, __LINE__, seed_text(start_)};
  Random random_{start_};
};

TEST_P(EveryPolicy, SharesFollowTheWeights) {
  for (int round = 0; round < 5; ++round) {
    const auto weights = random_weights();
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    const Counts got = shares(*picker(), with_weights(weights), kPicks, random_);
    for (size_t i = 0; i < weights.size(); ++i) {
      EXPECT_NEAR(got[i], kPicks * weights[i] / sum, kNear) << i << " of " << weights.size();
    }
  }
}

// A client of Maglev goes to its own backend or elsewhere, so what a slow one leaves is spread over
// the others; for the rest, its weight is smaller for a while.
double expected(Balance policy, double weight, double others, double share) {
  if (policy == Balance::kMaglev) return weight * share / (weight + others);
  return weight * share / (weight * share + others);
}

TEST_P(EveryPolicy, SharesFollowTheRampOfASlowStart) {
  const auto weights = random_weights();
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  Candidates candidates = with_weights(weights);
  const auto policy = picker();
  for (uint64_t ms = 0; ms <= 10'000; ms += 1000) {
    candidates[0].share = slow_start_share(ms, 10);
    const Counts got = shares(*policy, candidates, kPicks, random_);
    const double share = std::min(1.0, 0.1 + 0.9 * double(ms) / 10'000);
    const double part = expected(GetParam(), weights[0], sum - weights[0], share);
    EXPECT_NEAR(got[0], kPicks * part, kNear) << ms;
    EXPECT_EQ(std::accumulate(got.begin(), got.end(), 0), kPicks) << "nobody is turned away";
  }
}

// Bits of a candidate's state, drawn at random.
Candidate random_candidate(Random& random, uint32_t number) {
  Candidate out{.weight = uint16_t(random() % 3), .identity = hash_of(backend(number))};
  out.state = BackendState(random() % 3);
  out.health = Health(random() % 3);
  out.ejected = random() % 4 == 0;
  out.near = random() % 2 == 0;
  out.share = uint16_t(1 + random() % 1000);
  return out;
}

bool well(const Candidate& candidate) {
  return candidate.weight > 0 && candidate.state == BackendState::kReady &&
         candidate.health == Health::kUp && !candidate.ejected;
}

bool may_ever(const Candidate& candidate) {
  return candidate.weight > 0 && candidate.state != BackendState::kNotReady &&
         candidate.health != Health::kDown;
}

TEST_P(EveryPolicy, APreferenceForTheZoneTurnsNobodyAway) {
  const PickOptions options{.panic_percent = 0, .prefer_near = true};
  for (int round = 0; round < 2000; ++round) {
    Candidates candidates;
    for (uint32_t i = 0; i < 1 + uint32_t(round) % 6; ++i)
      candidates.push_back(random_candidate(random_, i));
    const auto policy = picker();
    const bool anybody = std::any_of(candidates.begin(), candidates.end(), may_ever);
    const bool near_well = std::any_of(candidates.begin(), candidates.end(),
                                       [](const Candidate& c) { return well(c) && c.near; });
    for (int i = 0; i < 5; ++i) {
      const auto picked = policy->pick(candidates, random_input(random_), options);
      ASSERT_EQ(picked.has_value(), anybody) << round;
      ASSERT_TRUE(!near_well || candidates[*picked].near) << round;
    }
  }
}

TEST_P(EveryPolicy, WhatTheZoneCannotServeSpillsOverByWeight) {
  Candidates candidates = with_weights({1, 1, 3, 1});
  candidates[0].near = candidates[1].near = true;
  const PickOptions options{.panic_percent = 0, .prefer_near = true};
  Counts got = shares(*picker(), candidates, kPicks, random_, options);
  EXPECT_EQ(got[0] + got[1], uint32_t(kPicks));
  candidates[0].health = candidates[1].health = Health::kDown;
  got = shares(*picker(), candidates, kPicks, random_, options);
  EXPECT_EQ(got[2] + got[3], uint32_t(kPicks));
  EXPECT_NEAR(got[2], kPicks * 0.75, kNear);
}

TEST_P(EveryPolicy, APanicUsesThoseThatAreDownAsWell) {
  Candidates candidates = equals(4);
  for (size_t i = 1; i < 4; ++i) candidates[i].health = Health::kDown;
  const auto policy = picker();
  EXPECT_EQ(shares(*policy, candidates, 1000, random_, {.panic_percent = 25})[0], 1000u);
  const Counts got = shares(*policy, candidates, kPicks, random_, {.panic_percent = 26});
  for (const uint32_t count : got) EXPECT_NEAR(count, kPicks / 4, kNear);
}

INSTANTIATE_TEST_SUITE_P(All, EveryPolicy, ::testing::ValuesIn(kPolicies),
                         [](const auto& each) { return std::string(to_string(each.param)); });

}  // namespace
}  // namespace lb::balance
