// Deadlines that our own thread is too late for.
#include <thread>

#include "dataplane/health/prober.hpp"
#include "tests/unit/dataplane/health/probe_fixture.hpp"

namespace lb::health {
namespace {

using std::chrono::milliseconds;

constexpr char kNoTime[] = "OurOwnWant: no time to look at the answer";

TEST(DeadlineResult, OneThatIsInTimeIsTheTargetsFault) {
  const ProbeResult silent{Outcome::kTimeout, "Timeout"};
  EXPECT_EQ(result_of_deadline(milliseconds(10), milliseconds(1000), true), silent);
  EXPECT_EQ(result_of_deadline(milliseconds(250), milliseconds(1000), true), silent);
}

TEST(DeadlineResult, SaysThatNothingEvenConnected) {
  EXPECT_EQ(result_of_deadline(milliseconds(10), milliseconds(1000), false),
            (ProbeResult{Outcome::kTimeout, "ConnectTimeout"}));
}

TEST(DeadlineResult, OneThatIsLateIsOurOwn) {
  for (const bool connected : {true, false}) {
    EXPECT_EQ(result_of_deadline(milliseconds(251), milliseconds(1000), connected),
              (ProbeResult{Outcome::kOwnWant, kNoTime}));
  }
}

TEST(DeadlineResult, AQuarterOfALongTimeoutIsNotLate) {
  EXPECT_EQ(result_of_deadline(milliseconds(1000), milliseconds(4000), true).outcome,
            Outcome::kTimeout);
  EXPECT_EQ(result_of_deadline(milliseconds(1001), milliseconds(4000), true).outcome,
            Outcome::kOwnWant);
}

class LateDeadlineTest : public ProbeTest {
 protected:
  LateDeadlineTest() {
    HealthPolicy policy = http_policy();
    policy.timeout_ms = 60;
    policy.fall = 1;
    check_ = check_of(target_.endpoint(), policy);
    prober_.want("file/a", check_);
    EXPECT_TRUE(run_until([&] { return prober_.verdict(check_).health == Health::kUp; }));
    target_.serve(test::stay_silent());
    const size_t before = target_.accepted();
    EXPECT_TRUE(run_until([&] { return target_.accepted() > before; }));
  }

  // Something else has our thread; the time itself is the subject.
  static void be_busy() { std::this_thread::sleep_for(milliseconds(60 + 250 + 20)); }

  test::FakeTarget target_{io_, test::answer({"HTTP/1.1 200 OK\r\n\r\n"})};
  Prober prober_{io_, {}};
  Check check_;
};

TEST_F(LateDeadlineTest, IsNotHeldAgainstTheBackend) {
  const ProberCounters before = prober_.counters();
  be_busy();
  const auto& now = prober_.counters();
  ASSERT_TRUE(run_until([&] { return now.probes > before.probes; }));
  EXPECT_EQ(now.own_wants, before.own_wants + 1);
  EXPECT_EQ(now.failures, before.failures);
  EXPECT_EQ(prober_.verdict(check_).health, Health::kUp);
}

TEST_F(LateDeadlineTest, TheNextProbeFindsWhatIsSilent) {
  be_busy();
  EXPECT_TRUE(run_until([&] { return prober_.verdict(check_).health == Health::kDown; }));
  EXPECT_EQ(prober_.verdict(check_).reason, "Timeout");
}

}  // namespace
}  // namespace lb::health
