#include "dataplane/health/health_state.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "tests/unit/dataplane/health/builders.hpp"

namespace lb::health {
namespace {

using namespace std::chrono_literals;
using std::chrono::microseconds;

const ProbeResult kGood{};
const ProbeResult kBad{Outcome::kFailure, "ConnectRefused"};
const ProbeResult kLate{Outcome::kTimeout, "Timeout"};
const ProbeResult kOurs{Outcome::kOwnWant, "OurOwnWant: no descriptor left"};

HealthPolicy rise_fall(uint32_t rise, uint32_t fall) {
  HealthPolicy out = policy_of(HealthType::kTcp);
  out.rise = rise;
  out.fall = fall;
  out.interval_ms = 2000;
  return out;
}

HealthState after(const std::vector<ProbeResult>& results, HealthPolicy policy = rise_fall(2, 3)) {
  HealthState out(policy);
  for (const auto& result : results) out.on_result(result);
  return out;
}

HealthPolicy every(uint32_t interval_ms) {
  HealthPolicy out = rise_fall(2, 3);
  out.interval_ms = interval_ms;
  return out;
}

TEST(HealthState, IsUnknownAtFirst) {
  EXPECT_EQ(after({}).health(), Health::kUnknown);
  EXPECT_FALSE(after({}).in_transition());
}

TEST(HealthState, TakesTheFirstSuccessAtItsWord) {
  HealthState state(rise_fall(5, 5));
  EXPECT_TRUE(state.on_result(kGood));
  EXPECT_EQ(state.health(), Health::kUp);
}

TEST(HealthState, TakesTheFirstFailureAtItsWord) {
  HealthState state(rise_fall(5, 5));
  EXPECT_TRUE(state.on_result(kBad));
  EXPECT_EQ(state.health(), Health::kDown);
}

TEST(HealthState, StaysUpOneFailureShortOfFall) {
  EXPECT_EQ(after({kGood, kBad, kBad}).health(), Health::kUp);
}

TEST(HealthState, GoesDownAtFallFailuresInARow) {
  HealthState state = after({kGood, kBad, kBad});
  EXPECT_TRUE(state.on_result(kBad));
  EXPECT_EQ(state.health(), Health::kDown);
}

TEST(HealthState, CountsATimeoutAsAFailure) {
  EXPECT_EQ(after({kGood, kBad, kLate, kBad}).health(), Health::kDown);
}

TEST(HealthState, StartsCountingFailuresAgainAfterASuccess) {
  EXPECT_EQ(after({kGood, kBad, kBad, kGood, kBad, kBad}).health(), Health::kUp);
}

TEST(HealthState, StaysDownOneSuccessShortOfRise) {
  EXPECT_EQ(after({kBad, kGood}).health(), Health::kDown);
}

TEST(HealthState, GoesUpAtRiseSuccessesInARow) {
  HealthState state = after({kBad, kGood});
  EXPECT_TRUE(state.on_result(kGood));
  EXPECT_EQ(state.health(), Health::kUp);
}

TEST(HealthState, StartsCountingSuccessesAgainAfterAFailure) {
  EXPECT_EQ(after({kBad, kGood, kBad, kGood}).health(), Health::kDown);
}

TEST(HealthState, SaysNothingNewWhenAResultConfirmsIt) {
  HealthState up = after({kGood});
  EXPECT_FALSE(up.on_result(kGood));
  HealthState down = after({kBad});
  EXPECT_FALSE(down.on_result(kBad));
}

TEST(HealthState, DoesNotChargeTheTargetWithOurOwnWant) {
  EXPECT_EQ(after({kOurs}).health(), Health::kUnknown);
  EXPECT_EQ(after({kGood, kOurs, kOurs, kOurs, kOurs}).health(), Health::kUp);
  EXPECT_EQ(after({kBad, kOurs, kOurs}).health(), Health::kDown);
}

TEST(HealthState, KeepsTheRunAcrossOurOwnWant) {
  EXPECT_EQ(after({kGood, kBad, kBad, kOurs, kBad}).health(), Health::kDown);
}

TEST(HealthState, SaysWhyItIsDownByTheLatestFailure) {
  EXPECT_EQ(after({kBad}).reason(), "ConnectRefused");
  EXPECT_EQ(after({kBad, kLate}).reason(), "Timeout");
  EXPECT_EQ(after({kBad, kLate, kGood}).reason(), "Timeout");
}

TEST(HealthState, HasNoReasonWhileUp) {
  EXPECT_EQ(after({kGood, kBad}).reason(), "");
  EXPECT_EQ(after({kBad, kGood, kGood}).reason(), "");
}

TEST(HealthState, CountsRiseAndFallOfZeroAsOne) {
  EXPECT_EQ(after({kGood, kBad}, rise_fall(0, 0)).health(), Health::kDown);
  EXPECT_EQ(after({kBad, kGood}, rise_fall(0, 0)).health(), Health::kUp);
}

TEST(HealthState, KeepsHealthAndReasonUnderAnotherPolicyButNotTheRun) {
  HealthState state(rise_fall(2, 3), after({kBad, kGood}));
  EXPECT_EQ(state.health(), Health::kDown);
  EXPECT_EQ(state.reason(), "ConnectRefused");
  EXPECT_FALSE(state.in_transition());
  EXPECT_FALSE(state.on_result(kGood));
}

TEST(HealthState, WaitsTheIntervalWhenNothingIsInQuestion) {
  EXPECT_EQ(after({kGood}, every(2000)).next_delay(0.5), microseconds(2s));
}

TEST(HealthState, HurriesInTransition) {
  EXPECT_EQ(after({kGood, kBad}, every(2000)).next_delay(0.5), microseconds(500ms));
  EXPECT_EQ(after({kBad, kGood}, every(2000)).next_delay(0.5), microseconds(500ms));
}

TEST(HealthState, DoesNotHurryBelowFiftyMilliseconds) {
  EXPECT_EQ(after({kGood, kBad}, every(120)).next_delay(0.5), microseconds(50ms));
}

TEST(HealthState, DoesNotSlowDownToHurry) {
  EXPECT_EQ(after({kGood, kBad}, every(20)).next_delay(0.5), microseconds(20ms));
}

TEST(HealthState, SpreadsByATenthEitherWay) {
  const HealthState state = after({kGood}, every(1000));
  EXPECT_EQ(state.next_delay(0), microseconds(900ms));
  EXPECT_LT(state.next_delay(0.999999), microseconds(1100ms));
  EXPECT_GT(state.next_delay(0.999999), microseconds(1099ms));
}

TEST(HealthState, NeverWaitsForNothing) { EXPECT_GE(after({}, every(0)).next_delay(0), 900us); }

// The same rules said another way: the last n results, own wants left out, all of the other kind.
Health model(const std::vector<bool>& results, uint32_t rise, uint32_t fall) {
  Health health = Health::kUnknown;
  size_t counted_from = 0;
  for (size_t i = 0; i < results.size(); ++i) {
    const uint32_t needed = health == Health::kUnknown ? 1 : results[i] ? rise : fall;
    const Health says = results[i] ? Health::kUp : Health::kDown;
    if (says == health || i + 1 - counted_from < needed) continue;
    bool all = true;
    for (size_t back = 0; back < needed; ++back) all = all && results[i - back] == results[i];
    if (!all) continue;
    health = says;
    counted_from = i + 1;
  }
  return health;
}

TEST(HealthState, AgreesWithItsRulesForAnyResults) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 500; ++round) {
    const uint32_t rise = 1 + random() % 5;
    const uint32_t fall = 1 + random() % 5;
    HealthState state(rise_fall(rise, fall));
    std::vector<bool> counted;
    for (int step = 0; step < 60; ++step) {
      const Health before = state.health();
      const uint32_t kind = random() % 8;
      if (kind != 7) counted.push_back(kind < 4);
      const bool changed = state.on_result(kind == 7 ? kOurs : kind < 4 ? kGood : kBad);
      ASSERT_EQ(state.health(), model(counted, rise, fall))
          << rise << "/" << fall << " at " << step;
      ASSERT_EQ(changed, state.health() != before);
      ASSERT_EQ(state.reason().empty(), state.health() != Health::kDown);
    }
  }
}

TEST(HealthState, KeepsEveryDelayWithinItsBounds) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> jitter(0, 1);
  for (int round = 0; round < 2000; ++round) {
    const uint32_t interval = 1 + random() % 5000;
    HealthState state(every(interval));
    for (uint32_t step = random() % 6; step > 0; --step) {
      state.on_result(random() % 2 ? kGood : kBad);
    }
    const double delay = static_cast<double>(state.next_delay(jitter(random)).count()) / 1000;
    const double base =
        state.in_transition() ? std::min<double>(interval, std::max(interval / 4, 50u)) : interval;
    ASSERT_GE(delay, base * 0.9 - 0.01) << interval;
    ASSERT_LE(delay, base * 1.1 + 0.01) << interval;
  }
}

TEST(HealthState, HasANameForEachHealth) {
  EXPECT_STREQ(to_string(Health::kUnknown), "unknown");
  EXPECT_STREQ(to_string(Health::kUp), "up");
  EXPECT_STREQ(to_string(Health::kDown), "down");
}

}  // namespace
}  // namespace lb::health
