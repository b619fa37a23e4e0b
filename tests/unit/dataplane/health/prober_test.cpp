#include "dataplane/health/prober.hpp"

#include <algorithm>
#include <vector>

#include "tests/unit/dataplane/health/few_descriptors.hpp"
#include "tests/unit/dataplane/health/prober_fixture.hpp"

namespace lb::health {
namespace {

TEST_F(ProberTest, KnowsNothingAtFirst) {
  set({http_check()});
  EXPECT_EQ(prober_->verdict(http_check()).health, Health::kUnknown);
}

TEST_F(ProberTest, FindsATargetThatIsUp) {
  set({http_check()});
  EXPECT_TRUE(run_until_health(http_check(), Health::kUp));
}

TEST_F(ProberTest, FindsATargetThatIsDownAndSaysWhy) {
  target_.serve(test::answer({kBusy}));
  set({http_check()});
  ASSERT_TRUE(run_until_health(http_check(), Health::kDown));
  EXPECT_EQ(prober_->verdict(http_check()).reason, "HttpStatus: 503");
}

TEST_F(ProberTest, TellsOfAChangeOnce) {
  set({http_check()});
  ASSERT_TRUE(run_until_health(http_check(), Health::kUp));
  ASSERT_TRUE(run_until_probes(3));
  ASSERT_EQ(changes_.size(), 1u);
  EXPECT_EQ(changes_[0].check, http_check());
  EXPECT_EQ(changes_[0].verdict, prober_->verdict(http_check()));
}

TEST_F(ProberTest, FollowsATargetDownAndUpAgain) {
  set({http_check()});
  ASSERT_TRUE(run_until_health(http_check(), Health::kUp));
  target_.serve(test::answer({kBusy}));
  ASSERT_TRUE(run_until_health(http_check(), Health::kDown));
  target_.serve(test::answer({kOk}));
  ASSERT_TRUE(run_until_health(http_check(), Health::kUp));
  EXPECT_EQ(counters().transitions, 3u);
  EXPECT_EQ(prober_->verdict(http_check()).reason, "");
}

TEST_F(ProberTest, NeedsFallFailuresAndRiseSuccesses) {
  set({http_check()});
  ASSERT_TRUE(run_until_health(http_check(), Health::kUp));
  target_.serve(test::answer({kBusy}));
  ASSERT_TRUE(run_until_health(http_check(), Health::kDown));
  EXPECT_EQ(counters().failures, 3u);
  const uint64_t before = counters().successes;
  target_.serve(test::answer({kOk}));
  ASSERT_TRUE(run_until_health(http_check(), Health::kUp));
  EXPECT_EQ(counters().successes - before, 2u);
}

TEST_F(ProberTest, DatesAHealthFromItsChange) {
  const auto begun = std::chrono::steady_clock::now();
  set({http_check()});
  ASSERT_TRUE(run_until_health(http_check(), Health::kUp));
  const auto since = prober_->verdict(http_check()).since;
  EXPECT_GE(since, begun);
  ASSERT_TRUE(run_until_probes(3));
  EXPECT_EQ(prober_->verdict(http_check()).since, since);
}

TEST_F(ProberTest, ProbesACheckOnceThoughTwoServicesWantIt) {
  std::set<Check> wanted;
  for (int service = 0; service < 2; ++service) wanted.insert(http_check());
  set(wanted);
  ASSERT_TRUE(run_until([&] { return counters().successes >= 5; }));
  EXPECT_LE(target_.accepted(), counters().probes);
}

TEST_F(ProberTest, NeverProbesACheckTwiceAtOnce) {
  HealthPolicy policy = http_policy();
  policy.interval_ms = 10;
  policy.timeout_ms = 100;
  target_.serve(test::stay_silent());
  set({check_of(target_.endpoint(), policy)});
  uint64_t most = 0;
  ASSERT_TRUE(run_until([&] {
    most = std::max(most, counters().in_flight);
    return counters().timeouts >= 4;
  }));
  EXPECT_EQ(most, 1u);
  EXPECT_EQ(counters().delayed, 0u);
}

TEST_F(ProberTest, ProbesManyChecksAtOnce) {
  target_.serve(test::stay_silent());
  std::set<Check> wanted;
  for (int i = 0; i < 20; ++i) wanted.insert(http_check("/" + std::to_string(i)));
  set(wanted);
  EXPECT_TRUE(run_until([&] { return counters().in_flight == 20; }));
}

TEST_F(ProberTest, KeepsHealthAndProbeOfACheckThatStays) {
  set({http_check()});
  ASSERT_TRUE(run_until_health(http_check(), Health::kUp));
  target_.serve(test::stay_silent());
  ASSERT_TRUE(run_until([&] { return counters().in_flight == 1; }));
  const Verdict before = prober_->verdict(http_check());
  const uint64_t probes = counters().probes;
  HealthPolicy slow = http_policy("/other");
  slow.interval_ms = 60'000;
  set({http_check(), check_of(target_.endpoint(), slow)});
  EXPECT_EQ(prober_->verdict(http_check()), before);
  EXPECT_EQ(counters().in_flight, 1u);
  EXPECT_EQ(counters().probes, probes);
}

TEST_F(ProberTest, StopsProbingWhatIsGone) {
  FakeTarget other(io_, test::answer({kOk}));
  const Check stays = check_of(other.endpoint(), http_policy());
  target_.serve(test::stay_silent());
  set({http_check(), stays});
  ASSERT_TRUE(run_until([&] { return target_.accepted() == 1; }));
  set({stays});
  EXPECT_EQ(prober_->verdict(http_check()), Verdict{});
  changes_.clear();
  ASSERT_TRUE(run_until_probes(5));
  EXPECT_EQ(target_.accepted(), 1u);
  for (const auto& change : changes_) EXPECT_EQ(change.check, stays);
}

TEST_F(ProberTest, LetsGoOfAProbeInFlightWhenItsCheckGoes) {
  target_.serve(test::stay_silent());
  set({http_check()});
  ASSERT_TRUE(run_until([&] { return counters().in_flight == 1; }));
  set({});
  EXPECT_EQ(counters().in_flight, 0u);
}

TEST_F(ProberTest, SaysNothingAfterStop) {
  set({http_check()});
  ASSERT_TRUE(run_until([&] { return counters().in_flight == 1; }));
  prober_->stop();
  const uint64_t probes = counters().probes;
  // A probe of the test's own takes longer than what was in flight would have.
  probe(target_.endpoint(), http_policy());
  EXPECT_EQ(counters().probes, probes);
  EXPECT_TRUE(changes_.empty());
}

TEST_F(ProberTest, BeginsAnewAfterStop) {
  set({http_check()});
  ASSERT_TRUE(run_until_health(http_check(), Health::kUp));
  prober_->stop();
  EXPECT_EQ(prober_->verdict(http_check()).health, Health::kUnknown);
  set({http_check()});
  EXPECT_TRUE(run_until_health(http_check(), Health::kUp));
}

TEST_F(ProberTest, IgnoresChecksOfNoType) {
  const Check none = check_of(target_.endpoint(), HealthPolicy{});
  set({none, http_check()});
  ASSERT_TRUE(run_until_health(http_check(), Health::kUp));
  EXPECT_EQ(prober_->verdict(none), Verdict{});
}

TEST_F(ProberTest, KeepsTheHealthOfACheckThatOnlyGotOtherNumbers) {
  target_.serve(test::answer({kBusy}));
  set({http_check()});
  ASSERT_TRUE(run_until_health(http_check(), Health::kDown));
  const Verdict before = prober_->verdict(http_check());
  HealthPolicy patient = http_policy();
  patient.interval_ms = 60'000;
  patient.rise = 9;
  const Check renewed = check_of(target_.endpoint(), patient);
  set({renewed});
  EXPECT_EQ(prober_->verdict(renewed), before);
}

TEST_F(ProberTest, ForgetsTheHealthWhenTheQuestionChanges) {
  set({http_check("/a")});
  ASSERT_TRUE(run_until_health(http_check("/a"), Health::kUp));
  set({http_check("/b")});
  EXPECT_EQ(prober_->verdict(http_check("/b")).health, Health::kUnknown);
}

TEST_F(ProberTest, BlamesNoTargetForAWantOfDescriptors) {
  set({http_check()});
  ASSERT_TRUE(run_until_health(http_check(), Health::kUp));
  ASSERT_TRUE(run_until([&] { return counters().in_flight == 0; }));
  bool enough = false;
  {
    const FewDescriptors few;
    enough = run_until([&] { return counters().own_wants >= 5; });
  }
  ASSERT_TRUE(enough);
  EXPECT_EQ(prober_->verdict(http_check()).health, Health::kUp);
  EXPECT_EQ(counters().failures, 0u);
  const uint64_t before = counters().successes;
  EXPECT_TRUE(run_until([&] { return counters().successes > before; }));
}

TEST_F(ProberTest, SpreadsTheFirstProbes) {
  std::set<Check> wanted;
  HealthPolicy policy = http_policy();
  policy.interval_ms = 60'000;
  for (int i = 0; i < 200; ++i) {
    policy.path = "/" + std::to_string(i);
    wanted.insert(check_of(target_.endpoint(), policy));
  }
  set(wanted);
  uint64_t last = 0;
  uint64_t largest = 0;  // begun in one turn of the loop
  ASSERT_TRUE(run_until([&] {
    largest = std::max(largest, counters().probes - last);
    last = counters().probes;
    return last == 200;
  }));
  EXPECT_LT(largest, 150u);
}

TEST_F(ProberTest, ProbesSoonHoweverLongTheInterval) {
  HealthPolicy policy = http_policy();
  policy.interval_ms = 3'600'000;
  set({check_of(target_.endpoint(), policy)});
  EXPECT_TRUE(run_until_probes(1));
}

TEST_F(ProberTest, MayBeChangedFromItsCallback) {
  begin({.on_change = [this](const Check&, const Verdict&) { set({}); }});
  set({http_check("/a"), http_check("/b")});
  EXPECT_TRUE(run_until([&] { return counters().transitions == 1 && counters().in_flight == 0; }));
  EXPECT_EQ(prober_->verdict(http_check("/a")), Verdict{});
}

TEST_F(ProberTest, MayBeDestroyedFromItsCallback) {
  begin({.on_change = [this](const Check&, const Verdict&) { prober_.reset(); }});
  set({http_check("/a"), http_check("/b")});
  EXPECT_TRUE(run_until([&] { return !prober_; }));
}

TEST_F(ProberTest, MayBeDestroyedFromTheCallbackOfATimeout) {
  begin({.on_change = [this](const Check&, const Verdict&) { prober_.reset(); }});
  target_.serve(test::stay_silent());
  HealthPolicy policy = http_policy();
  policy.timeout_ms = 20;
  set({check_of(target_.endpoint(), policy)});
  EXPECT_TRUE(run_until([&] { return !prober_; }));
}

TEST_F(ProberTest, MayBeDestroyedWithProbesInFlight) {
  target_.serve(test::stay_silent());
  set({http_check("/a"), http_check("/b")});
  ASSERT_TRUE(run_until([&] { return counters().in_flight == 2; }));
  prober_.reset();
  probe(target_.endpoint(), policy_of(HealthType::kTcp));
  EXPECT_TRUE(changes_.empty());
}

TEST_F(ProberTest, CountsEveryProbeOnce) {
  target_.serve(test::answer({kBusy}));
  FakeTarget good(io_, test::answer({kOk}));
  set({http_check(), check_of(good.endpoint(), http_policy())});
  ASSERT_TRUE(run_until_probes(20));
  EXPECT_EQ(counters().probes, counters().successes + counters().failures + counters().own_wants +
                                   counters().in_flight);
  EXPECT_GT(counters().successes, 0u);
  EXPECT_GT(counters().failures, 0u);
}

}  // namespace
}  // namespace lb::health
