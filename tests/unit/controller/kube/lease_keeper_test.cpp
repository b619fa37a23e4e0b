// Keepers against one Lease that behaves as a server's does; short terms, real threads.
#include "controller/kube/lease_keeper.hpp"

#include <gmock/gmock.h>

#include "tests/unit/controller/kube/fake_lease_server.hpp"

namespace lb::kube {
namespace {

using testing::HasSubstr;

class Candidate {
 public:
  Candidate(FakeLeaseServer& server, std::string name, uint32_t lease_s = 1,
            uint64_t renew_ms = 400)
      : keeper({.make_client = [&server] { return std::make_unique<FakeLeaseClient>(server); },
                .ns = "ns",
                .name = "lease",
                .election = {std::move(name), lease_s, renew_ms, 20},
                .on_leading = [this](std::optional<uint64_t> epoch) { note(epoch); }}) {}

  std::vector<std::optional<uint64_t>> heard() {
    const std::lock_guard lock(mutex_);
    return heard_;
  }
  bool leads() {
    const auto all = heard();
    return !all.empty() && all.back().has_value();
  }
  // False after ten seconds.
  bool waits_for(const std::function<bool()>& holds) {
    std::unique_lock lock(mutex_);
    for (int i = 0; i < 1000; ++i) {
      lock.unlock();
      if (holds()) return true;
      lock.lock();
      changed_.wait_for(lock, std::chrono::milliseconds(10));
    }
    return false;
  }

 private:
  void note(std::optional<uint64_t> epoch) {
    const std::lock_guard lock(mutex_);
    heard_.push_back(epoch);
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::optional<uint64_t>> heard_;

 public:
  LeaseKeeper keeper;
};

class LeaseKeeperTest : public testing::Test {
 protected:
  FakeLeaseServer server;
  Candidate one{server, "one"}, two{server, "two"};
};

TEST_F(LeaseKeeperTest, MakesTheLeaseAndLeads) {
  one.keeper.start();
  ASSERT_TRUE(one.waits_for([&] { return one.leads(); }));
  EXPECT_EQ(server.holder(), "one");
  EXPECT_EQ(one.keeper.holder(), "one");
  ASSERT_TRUE(one.waits_for([&] { return server.writes() > 3; })) << "and renews it";
  EXPECT_EQ(server.transitions(), 0u);
  EXPECT_EQ(one.keeper.counters().taken, 1u);
}

TEST_F(LeaseKeeperTest, TheOtherStandsByAndTakesOverAtOnceFromOneThatEnds) {
  one.keeper.start();
  ASSERT_TRUE(one.waits_for([&] { return one.leads(); }));
  two.keeper.start();
  ASSERT_TRUE(two.waits_for([&] { return two.keeper.holder() == "one"; }));
  EXPECT_EQ(two.keeper.other_holder(), "one");
  EXPECT_FALSE(two.leads());
  one.keeper.stop();
  ASSERT_TRUE(two.waits_for([&] { return two.leads(); }));
  EXPECT_EQ(server.transitions(), 1u);
  EXPECT_GT(*two.heard().back(), *one.heard().front()) << "epochs grow";
}

TEST_F(LeaseKeeperTest, TheOtherTakesOverFromOneThatDied) {
  one.keeper.start();
  ASSERT_TRUE(one.waits_for([&] { return one.leads(); }));
  two.keeper.start();
  one.keeper.stop(false);
  EXPECT_EQ(server.holder(), "one");
  ASSERT_TRUE(two.waits_for([&] { return two.leads(); }));
  EXPECT_EQ(server.holder(), "two");
}

TEST_F(LeaseKeeperTest, CeasesToLeadWhenTheServerIsGone) {
  one.keeper.start();
  ASSERT_TRUE(one.waits_for([&] { return one.leads(); }));
  server.set_mood(FakeLeaseServer::Mood::kRefuses);
  ASSERT_TRUE(one.waits_for([&] { return !one.leads(); }));
  EXPECT_EQ(one.keeper.other_holder(), "") << "nobody else is known to lead";
  EXPECT_GE(one.keeper.counters().failures, 1u);
  EXPECT_EQ(one.keeper.counters().lost, 1u);
  server.set_mood(FakeLeaseServer::Mood::kWell);
  ASSERT_TRUE(one.waits_for([&] { return one.leads(); }));
  EXPECT_EQ(one.heard().front(), one.heard().back()) << "nobody led meanwhile: the same epoch";
}

TEST_F(LeaseKeeperTest, AnAnswerThatIsLostIsNoLeadership) {
  server.set_mood(FakeLeaseServer::Mood::kLosesAnswers);
  one.keeper.start();
  ASSERT_TRUE(one.waits_for([&] { return one.keeper.counters().failures > 5; }));
  EXPECT_FALSE(one.leads());
}

TEST_F(LeaseKeeperTest, CeasesToLeadWhenSomebodyElseTookIt) {
  one.keeper.start();
  ASSERT_TRUE(one.waits_for([&] { return one.leads(); }));
  server.put({"thief", 60, 9, "a", "r"});
  ASSERT_TRUE(one.waits_for([&] { return !one.leads(); }));
  EXPECT_EQ(server.holder(), "thief");
}

TEST_F(LeaseKeeperTest, MakesALeaseAnewThatWasDeletedWithAHigherEpoch) {
  one.keeper.start();
  ASSERT_TRUE(one.waits_for([&] { return one.leads(); }));
  server.remove();
  ASSERT_TRUE(one.waits_for([&] { return server.holder() == "one"; }));
  one.keeper.stop();
  two.keeper.start();
  ASSERT_TRUE(two.waits_for([&] { return two.leads(); }));
  EXPECT_GT(*two.heard().back(), *one.heard().front());
}

TEST_F(LeaseKeeperTest, ARecheckReadsTheLeaseAtOnce) {
  one.keeper.start();
  ASSERT_TRUE(one.waits_for([&] { return one.leads(); }));
  std::atomic<int> answer{-1};
  one.keeper.recheck([&](bool leading) { answer = leading; });
  ASSERT_TRUE(one.waits_for([&] { return answer == 1; }));
  server.put({"thief", 60, 9, "a", "r"});
  one.keeper.recheck([&](bool leading) { answer = leading; });
  ASSERT_TRUE(one.waits_for([&] { return answer == 0; }));
}

TEST_F(LeaseKeeperTest, ARecheckGoesOnUntilTheServerAnswers) {
  Candidate patient{server, "patient", 120, 60'000};
  patient.keeper.start();
  ASSERT_TRUE(patient.waits_for([&] { return patient.leads(); }));
  server.set_mood(FakeLeaseServer::Mood::kRefuses);
  std::atomic<int> answer{-1};
  patient.keeper.recheck([&](bool leading) { answer = leading; });
  ASSERT_TRUE(patient.waits_for([&] { return patient.keeper.counters().failures > 3; }));
  EXPECT_EQ(answer, -1) << "nothing is proved yet";
  server.set_mood(FakeLeaseServer::Mood::kWell);
  ASSERT_TRUE(patient.waits_for([&] { return answer == 1; }));
}

TEST_F(LeaseKeeperTest, EveryRecheckIsAnswered) {
  Candidate patient{server, "patient", 120, 60'000};
  patient.keeper.start();
  ASSERT_TRUE(patient.waits_for([&] { return patient.leads(); }));
  std::atomic<int> answers{0};
  for (int i = 0; i < 20; ++i) patient.keeper.recheck([&](bool leading) { answers += leading; });
  ASSERT_TRUE(patient.waits_for([&] { return answers == 20; })) << answers;
}

TEST_F(LeaseKeeperTest, ARecheckEndsWithTheLeadership) {
  one.keeper.start();
  ASSERT_TRUE(one.waits_for([&] { return one.leads(); }));
  server.set_mood(FakeLeaseServer::Mood::kRefuses);
  std::atomic<int> answer{-1};
  one.keeper.recheck([&](bool leading) { answer = leading; });
  ASSERT_TRUE(one.waits_for([&] { return answer == 0; }));
}

TEST(LeaseIdentity, IsNeverTheSameTwice) {
  EXPECT_NE(lease_identity(), lease_identity());
  EXPECT_THAT(lease_identity(), HasSubstr("_"));
}

}  // namespace
}  // namespace lb::kube
