// Who is probed first where more is wanted than may be in flight.
#include <algorithm>
#include <vector>

#include "tests/unit/dataplane/health/prober_fixture.hpp"

namespace lb::health {
namespace {

class ProberTurnsTest : public ProberTest {};

TEST_F(ProberTurnsTest, HoldsNoMoreProbesInFlightThanAllowed) {
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

TEST_F(ProberTurnsTest, ForgetsWhatWaitsForItsTurnWhenItGoes) {
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

TEST_F(ProberTurnsTest, GivesTheTurnOfOneThatGoesToOneThatWaits) {
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

TEST_F(ProberTurnsTest, AServiceWhoseTargetsNeverAnswerDoesNotStopTheChecksOfAnother) {
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

TEST_F(ProberTurnsTest, OneThatIsCutIsMadeAgainAndCallsNobodyDown) {
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

TEST_F(ProberTurnsTest, ServicesThatAllWantTooMuchHaveTheSameShare) {
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

TEST_F(ProberTurnsTest, AnotherServiceThatAsksTheSameAndMuchElseDelaysNoCheck) {
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

TEST_F(ProberTurnsTest, ACheckStaysAsLongAsOneServiceWantsIt) {
  set({http_check()}, "file/a");
  set({http_check()}, "file/b");
  ASSERT_TRUE(run_until_health(http_check(), Health::kUp));
  set({}, "file/a");
  EXPECT_EQ(prober_->verdict(http_check()).health, Health::kUp);
  set({}, "file/b");
  EXPECT_EQ(prober_->verdict(http_check()).health, Health::kUnknown);
}

}  // namespace
}  // namespace lb::health
