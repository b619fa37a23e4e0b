#include "dataplane/balance/round_robin.hpp"

#include <gtest/gtest.h>

#include "dataplane/balance/slow_start.hpp"
#include "tests/unit/dataplane/balance/balance_support.hpp"

namespace lb::balance {
namespace {

Counts turns(Picker& picker, const Candidates& candidates, int picks) {
  Random unused(1);
  return shares(picker, candidates, picks, unused);
}

TEST(RoundRobin, SharesEvenly) {
  RoundRobin picker;
  EXPECT_EQ(turns(picker, {{}, {}, {}}, 300), (Counts{100, 100, 100}));
}

TEST(RoundRobin, SharesByWeightWithinOnePercent) {
  const uint32_t start = seed();
  SCOPED_TRACE(seed_text(start));
  Random random(start);
  for (int round = 0; round < 10; ++round) {
    Candidates candidates(2 + random() % 20);
    double total = 0;
    for (Candidate& each : candidates) {
      each.weight = uint16_t(1 + random() % 100);
      total += each.weight;
    }
    RoundRobin picker(random() % 7);
    const Counts got = turns(picker, candidates, kPicks);
    for (size_t i = 0; i < candidates.size(); ++i) {
      const double due = kPicks * candidates[i].weight / total;
      EXPECT_NEAR(got[i], due, due * 0.01 + 1);
    }
  }
}

TEST(RoundRobin, SpreadsAHeavyBackendInsteadOfBursting) {
  RoundRobin picker;
  const Candidates candidates = {{.weight = 2}, {.weight = 1}, {.weight = 1}};
  std::vector<size_t> order;
  for (int i = 0; i < 4; ++i) order.push_back(*picker.pick(candidates, {}, {}));
  EXPECT_EQ(order, (std::vector<size_t>{0, 1, 2, 0}));
}

TEST(RoundRobin, NeverPicksWeightZero) {
  RoundRobin picker;
  EXPECT_EQ(turns(picker, {{.weight = 0}, {}}, 10), (Counts{0, 10}));
  EXPECT_FALSE(picker.pick(Candidates{{.weight = 0}}, {}, {}).has_value());
}

TEST(RoundRobin, TakesTheDrainingOnlyWhenNobodyIsReady) {
  RoundRobin picker;
  const Candidate draining{.state = BackendState::kDraining};
  EXPECT_EQ(turns(picker, {draining, {}}, 10), (Counts{0, 10}));
  EXPECT_EQ(turns(picker, {draining, {.state = BackendState::kNotReady}}, 10), (Counts{10, 0}));
}

TEST(RoundRobin, SkipsAnEjectedBackendWhileAnotherIsLeft) {
  RoundRobin picker;
  EXPECT_EQ(turns(picker, {{.ejected = true}, {}}, 10), (Counts{0, 10}));
  EXPECT_EQ(picker.pick(Candidates{{.ejected = true}}, {}, {}), 0U);
}

TEST(RoundRobin, GivesNobodyWhenNobodyIsLeft) {
  RoundRobin picker;
  EXPECT_FALSE(picker.pick({}, {}, {}).has_value());
  const Candidates over = {{.tried = true}, {.state = BackendState::kNotReady}};
  EXPECT_FALSE(picker.pick(over, {}, {}).has_value());
}

TEST(RoundRobin, StartsWorkersAtDifferentBackends) {
  Counts first_picks(3);
  for (size_t worker = 0; worker < 6; ++worker) {
    RoundRobin picker(worker);
    ++first_picks[*picker.pick(Candidates(3), {}, {})];
  }
  EXPECT_EQ(first_picks, (Counts{2, 2, 2}));
}

TEST(RoundRobin, TwoWorkersTogetherSpreadEvenlyAtEveryStep) {
  const Candidates candidates(4);
  RoundRobin left(0), right(1);
  Counts both(4);
  for (uint32_t i = 1; i <= 400; ++i) {
    ++both[*left.pick(candidates, {}, {})];
    ++both[*right.pick(candidates, {}, {})];
    for (const uint32_t count : both) EXPECT_NEAR(count, i * 2 / 4.0, 1.5);
  }
}

TEST(RoundRobin, StartsAfreshWhenTheSetChanges) {
  RoundRobin picker;
  turns(picker, {{}, {}}, 7);
  EXPECT_EQ(turns(picker, {{}, {}, {}}, 30), (Counts{10, 10, 10}));
}

TEST(RoundRobin, ForgetsDebtsOfMuchLargerWeights) {
  RoundRobin picker;
  turns(picker, {{.weight = 60'000}, {.weight = 50'000}}, 5);
  const Counts got = turns(picker, {{}, {}}, 100);
  EXPECT_NEAR(got[0], 50, 2);
}

TEST(RoundRobin, GoesOnEvenlyAfterABackendWasOutForAWhile) {
  RoundRobin picker;
  Candidates candidates(3);
  turns(picker, candidates, 100);
  candidates[1].ejected = true;
  EXPECT_EQ(turns(picker, candidates, 101)[1], 0U);
  candidates[1].ejected = false;
  for (const uint32_t count : turns(picker, candidates, 300)) EXPECT_NEAR(count, 100, 2);
}

TEST(RoundRobin, GivesABackendInSlowStartItsPartOfItsWeight) {
  RoundRobin picker;
  const Candidates candidates = {{.weight = 1, .share = 100}, {.weight = 1}};
  EXPECT_EQ(turns(picker, candidates, 1100), (Counts{100, 1000}));
}

TEST(RoundRobin, RampsUpEvenlyWhileTheShareGrows) {
  RoundRobin picker;
  Candidates candidates(2);
  std::vector<uint32_t> per_second;
  for (uint64_t second = 0; second < 10; ++second) {
    uint32_t got = 0;
    for (uint64_t ms = 0; ms < 1000; ++ms) {
      candidates[0].share = slow_start_share(second * 1000 + ms, 10);
      got += *picker.pick(candidates, {}, {}) == 0;
    }
    per_second.push_back(got);
  }
  for (size_t second = 0; second < 10; ++second) {
    const double share = 0.1 + 0.09 * (double(second) + 0.5);
    EXPECT_NEAR(per_second[second], 1000 * share / (1 + share), 10) << second;
  }
}

TEST(RoundRobin, StaysExactForTheLargestWeights) {
  RoundRobin picker;
  const Candidates candidates(1000, Candidate{.weight = UINT16_MAX});
  for (const uint32_t count : turns(picker, candidates, 3000)) EXPECT_EQ(count, 3U);
}

// A deployment that is scaled up and down all the time, with a few connections between.
TEST(RoundRobin, SharesEvenlyWhileTheListGrowsAndShrinks) {
  RoundRobin picker;
  Candidates candidates = equals(10);
  Counts got(10);
  for (int round = 0; round < 300; ++round) {
    for (int i = 0; i < 3; ++i) ++got[*picker.pick(candidates, {}, {})];
    if (round % 2 == 0) {
      candidates.pop_back();
    } else {
      candidates = equals(10);
    }
  }
  for (size_t i = 0; i + 1 < got.size(); ++i) EXPECT_NEAR(got[i], 95, 10) << i;
}

TEST(RoundRobin, SharesByWeightWhileTheListGrowsAndShrinks) {
  RoundRobin picker;
  const Candidates nine = with_weights({1, 2, 1, 2, 1, 2, 1, 2, 1});
  Candidates ten = nine;
  ten.push_back({.weight = 1, .identity = hash_of(backend(99))});
  Counts got(10);
  for (int round = 0; round < 1'000; ++round) {
    for (int i = 0; i < 2; ++i) ++got[*picker.pick(round % 2 == 0 ? nine : ten, {}, {})];
  }
  for (size_t i = 0; i < nine.size(); ++i) {
    EXPECT_NEAR(got[i], nine[i].weight * 148, nine[i].weight * 15) << i;
  }
}

TEST(RoundRobin, WhoeverStaysKeepsItsTurnWhoeverComesBeforeIt) {
  RoundRobin picker;
  const Candidates three = equals(3, 2);
  EXPECT_EQ(picker.pick(three, {}, {}), 0U);
  const Candidates four = equals(4, 1);
  EXPECT_EQ(picker.pick(four, {}, {}), 2U) << "the one that was next, now in third place";
}

}  // namespace
}  // namespace lb::balance
