#include "dataplane/health/prober.hpp"

#include <algorithm>
#include <random>
#include <vector>

#include "tests/unit/dataplane/health/few_descriptors.hpp"
#include "tests/unit/dataplane/health/probe_fixture.hpp"

namespace lb::health {
namespace {

using test::FakeTarget;

const std::string kOk = "HTTP/1.1 200 OK\r\n\r\n";
const std::string kBusy = "HTTP/1.1 503 Busy\r\n\r\n";

struct Change {
  Check check;
  Verdict verdict;
};

class ProberTest : public ProbeTest {
 protected:
  ProberTest() {
    RecordProperty("seed", std::to_string(seed_));
    begin({});
  }
  ~ProberTest() override {
    if (HasFailure()) printf("seed %u\n", seed_);
  }

  void begin(ProberOptions options) {
    if (!options.seed) options.seed = seed_;
    if (!options.on_change) {
      options.on_change = [this](const Check& check, const Verdict& verdict) {
        changes_.push_back({check, verdict});
      };
    }
    prober_.emplace(io_, std::move(options));
  }

  // What a service wants from now on.
  void set(const std::set<Check>& wanted, const std::string& service = "file/a") {
    for (const auto& each : wanted) prober_->want(service, each);
    for (const auto& each : std::exchange(held_[service], wanted)) {
      if (!wanted.contains(each)) prober_->forget(service, each);
    }
  }

  // So many checks that all differ, of a target that accepts and says nothing.
  std::set<Check> silent(int count, uint32_t timeout_ms) {
    target_.serve(test::stay_silent());
    HealthPolicy policy = http_policy();
    policy.timeout_ms = timeout_ms;
    std::set<Check> out;
    for (int i = 0; i < count; ++i) {
      policy.path = "/silent/" + std::to_string(i);
      out.insert(check_of(target_.endpoint(), policy));
    }
    return out;
  }

  bool run_until_health(const Check& check, Health health) {
    return run_until([&] { return prober_->verdict(check).health == health; });
  }

  bool run_until_probes(uint64_t more) {
    const uint64_t enough = prober_->counters().probes + more;
    return run_until([&] { return prober_->counters().probes >= enough; });
  }

  Check http_check(const std::string& path = "/") {
    return check_of(target_.endpoint(), http_policy(path));
  }

  const ProberCounters& counters() const { return prober_->counters(); }

  const uint32_t seed_ = std::random_device{}();
  FakeTarget target_{io_, test::answer({kOk})};
  std::vector<Change> changes_;
  std::map<std::string, std::set<Check>> held_;
  std::optional<Prober> prober_;
};

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

TEST_F(ProberTest, HoldsNoMoreProbesInFlightThanAllowed) {
  begin({.max_in_flight = 2});
  target_.serve(test::stay_silent());
  HealthPolicy policy = http_policy();
  policy.timeout_ms = 30;
  std::set<Check> wanted;
  for (int i = 0; i < 8; ++i) {
    policy.path = "/" + std::to_string(i);
    wanted.insert(check_of(target_.endpoint(), policy));
  }
  set(wanted);
  uint64_t most = 0;
  ASSERT_TRUE(run_until([&] {
    most = std::max(most, counters().in_flight);
    return std::ranges::all_of(wanted, [&](const Check& check) {
      return prober_->verdict(check).health == Health::kDown;
    });
  }));
  EXPECT_EQ(most, 2u);
  EXPECT_GT(counters().delayed, 0u);
}

TEST_F(ProberTest, ForgetsWhatWaitsForItsTurnWhenItGoes) {
  begin({.max_in_flight = 1});
  target_.serve(test::stay_silent());
  set({http_check("/a"), http_check("/b"), http_check("/c")});
  ASSERT_TRUE(run_until([&] { return counters().delayed == 2; }));
  set({});
  EXPECT_EQ(counters().in_flight, 0u);
  target_.serve(test::answer({kOk}));
  set({http_check("/d")});
  EXPECT_TRUE(run_until_health(http_check("/d"), Health::kUp));
}

TEST_F(ProberTest, GivesTheTurnOfOneThatGoesToOneThatWaits) {
  begin({.max_in_flight = 1});
  FakeTarget other(io_, test::answer({kOk}));
  const Check waits = check_of(other.endpoint(), http_policy());
  target_.serve(test::stay_silent());
  set({http_check()});
  ASSERT_TRUE(run_until([&] { return counters().in_flight == 1; }));
  set({http_check(), waits});
  ASSERT_TRUE(run_until([&] { return counters().delayed == 1; }));
  EXPECT_EQ(counters().probes, 1u);
  set({waits});
  EXPECT_EQ(counters().probes, 2u);
  EXPECT_TRUE(run_until_health(waits, Health::kUp));
}

TEST_F(ProberTest, AServiceWhoseTargetsNeverAnswerDoesNotStopTheChecksOfAnother) {
  begin({.max_in_flight = 8});
  set(silent(30, 3'600'000), "file/silent");
  ASSERT_TRUE(run_until([&] { return counters().in_flight == 8; }));
  FakeTarget good(io_, test::answer({kOk}));
  FakeTarget bad(io_, test::answer({kBusy}));
  const Check up = check_of(good.endpoint(), http_policy());
  const Check down = check_of(bad.endpoint(), http_policy());
  set({up, down}, "file/other");
  EXPECT_TRUE(run_until_health(up, Health::kUp));
  EXPECT_TRUE(run_until_health(down, Health::kDown));
  EXPECT_GT(counters().cut, 0u);
}

TEST_F(ProberTest, OneThatIsCutIsMadeAgainAndCallsNobodyDown) {
  begin({.max_in_flight = 4});
  const auto wanted = silent(4, 3'600'000);
  set(wanted, "file/silent");
  ASSERT_TRUE(run_until([&] { return counters().in_flight == 4; }));
  FakeTarget good(io_, test::answer({kOk}));
  const Check up = check_of(good.endpoint(), http_policy());
  set({up}, "file/other");
  ASSERT_TRUE(run_until([&] { return counters().cut >= 3; }));
  for (const auto& each : wanted) EXPECT_EQ(prober_->verdict(each).health, Health::kUnknown);
  set({}, "file/other");
  EXPECT_TRUE(run_until([&] { return counters().in_flight == 4; }));
  EXPECT_EQ(counters().failures, 0u);
}

TEST_F(ProberTest, ServicesThatAllWantTooMuchHaveTheSameShare) {
  begin({.max_in_flight = 9});
  const auto all = silent(60, 3'600'000);
  std::map<std::string, std::set<Check>> wanted;
  size_t i = 0;
  for (const auto& each : all)
    wanted[i++ < 40 ? "file/a" : i % 2 ? "file/b" : "file/c"].insert(each);
  for (const auto& [service, checks] : wanted) set(checks, service);
  ASSERT_TRUE(run_until([&] { return counters().delayed + counters().cut >= 51; }));
  set({}, "file/b");
  set({}, "file/c");
  EXPECT_EQ(counters().in_flight, 9u) << "what they had is the first one's";
}

TEST_F(ProberTest, AnotherServiceThatAsksTheSameAndMuchElseDelaysNoCheck) {
  begin({.max_in_flight = 4});
  FakeTarget good(io_, test::answer({kOk}));
  const Check shared = check_of(good.endpoint(), http_policy());
  auto greedy = silent(30, 3'600'000);
  greedy.insert(shared);
  set(greedy, "file/greedy");
  set({shared}, "file/other");
  EXPECT_TRUE(run_until_health(shared, Health::kUp));
  set({}, "file/other");
  const uint64_t before = counters().successes;
  set({shared}, "file/third");
  EXPECT_TRUE(run_until([&] { return counters().successes >= before + 3; }));
}

TEST_F(ProberTest, ACheckStaysAsLongAsOneServiceWantsIt) {
  set({http_check()}, "file/a");
  set({http_check()}, "file/b");
  ASSERT_TRUE(run_until_health(http_check(), Health::kUp));
  set({}, "file/a");
  EXPECT_EQ(prober_->verdict(http_check()).health, Health::kUp);
  set({}, "file/b");
  EXPECT_EQ(prober_->verdict(http_check()).health, Health::kUnknown);
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
