// A Consul agent that is followed while it does not work.
#include "tests/unit/controller/sources/consul_source_rig.hpp"

namespace lb::sources {
namespace {

using namespace test_rig;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using ConsulFaultsTest = ConsulSourceTest;

TEST_F(ConsulFaultsTest, IsStaleWhileThereIsNoAgentAndSyncsOnceThereIs) {
  consul_.stop();
  start();
  ASSERT_TRUE(until([&] { return sink_.troubles >= 3; }));
  EXPECT_EQ(sink_.stale->code, "Connect");
  EXPECT_THAT(sink_.name, StartsWith("consul/unix:"));
  EXPECT_EQ(sink_.syncs, 0u);
  consul_.set("web", "a", instance(1));
  consul_.start();
  ASSERT_TRUE(recovers());
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready"));
  EXPECT_EQ(source_->counters().doubts, 0u) << "nothing was known that could be lost";
}

TEST_F(ConsulFaultsTest, KeepsTheLastSetWhileTheAgentRestarts) {
  consul_.set("web", "a", instance(1));
  start_synced();
  consul_.stop();
  ASSERT_TRUE(until([&] { return sink_.stale.has_value(); }));
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready"));
  consul_.set("web", "b", instance(2));
  consul_.restart_index();
  consul_.start();
  ASSERT_TRUE(recovers());
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready", "10.0.0.3 ready"));
  EXPECT_GE(source_->counters().errors, 1u);
  consul_.set("web", "c", instance(3));
  EXPECT_TRUE(becomes({"10.0.0.2 ready", "10.0.0.3 ready", "10.0.0.4 ready"}));
}

TEST_F(ConsulFaultsTest, BelievesLossesOfAnAgentThatHasRestartedAfterAWhileOnly) {
  options_.doubt = 1h;
  consul_.set("web", "a", instance(1));
  consul_.set("web", "b", instance(2));
  consul_.set("api", "a", instance(3, 90));
  start_synced();
  consul_.stop();
  consul_.forget_all();
  consul_.set("web", "a", critical(1));
  consul_.set("web", "c", instance(4));
  ASSERT_TRUE(until([&] { return sink_.stale.has_value(); }));
  consul_.start();
  ASSERT_TRUE(recovers());
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready", "10.0.0.3 ready", "10.0.0.5 ready"));
  EXPECT_THAT(backends("api"), ElementsAre("10.0.0.4 ready"));
  EXPECT_EQ(source_->counters().doubts, 1u);
}

TEST_F(ConsulFaultsTest, BelievesLossesInTheEnd) {
  options_.doubt = 100ms;
  consul_.set("web", "a", instance(1));
  consul_.set("web", "b", instance(2));
  consul_.set("api", "a", instance(3, 90));
  start_synced();
  consul_.stop();
  consul_.forget_all();
  consul_.set("web", "a", critical(1));
  ASSERT_TRUE(until([&] { return sink_.stale.has_value(); }));
  consul_.start();
  ASSERT_TRUE(becomes({"10.0.0.2 not_ready"}));
  ASSERT_TRUE(until([&] { return !sink_.services.contains("consul/api"); }));
  EXPECT_EQ(source_->services(), 1u);
  EXPECT_EQ(source_->instances(), 1u);
}

TEST_F(ConsulFaultsTest, SaysWithinTenSecondsThatAnAgentHasStalled) {
  options_ = {.server = {consul_.address()}};
  consul_.set("web", "a", instance(1));
  start_synced();
  ASSERT_TRUE(until([&] { return consul_.waiting() == 1; }));
  consul_.stall(true);
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(until([&] { return sink_.stale.has_value(); }, 10s));
  EXPECT_EQ(sink_.stale->code, "Timeout");
  EXPECT_GT(std::chrono::steady_clock::now() - begin, 3s) << "a slow agent is not a stalled one";
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready"));
  consul_.stall(false);
  ASSERT_TRUE(recovers());
}

TEST_F(ConsulFaultsTest, KeepsTheLastSetWhileAnswersAreGarbage) {
  consul_.set("web", "a", instance(1));
  start_synced();
  for (const char* garbage :
       {"<html>502</html>", "{\"message\":\"no\"}", "[{\"Service\":", "\xff\xfe", "null"}) {
    consul_.answer_garbage(garbage);
    ASSERT_TRUE(goes_stale("Protocol")) << garbage;
    EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready"));
    consul_.answer_garbage("");
    ASSERT_TRUE(recovers()) << garbage;
  }
}

TEST_F(ConsulFaultsTest, NamesWhatWasGarbage) {
  consul_.set("web", "a", instance(1));
  start_synced();
  ASSERT_TRUE(until([&] { return consul_.waiting() == 1; }));
  consul_.answer_garbage("{}");
  ASSERT_TRUE(goes_stale("Protocol"));
  EXPECT_THAT(sink_.stale->message, HasSubstr("service web: is no list of instances"));
}

TEST_F(ConsulFaultsTest, KeepsTheLastSetWhileAnAnswerIsTooLarge) {
  options_.most_body = 20'000;
  consul_.set("web", "a", instance(1));
  start_synced();
  consul_.answer_garbage("[" + std::string(30'000, ' ') + "]");
  ASSERT_TRUE(goes_stale("TooLarge"));
  EXPECT_THAT(sink_.stale->message, HasSubstr("more than 20000 bytes"));
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready"));
  consul_.answer_garbage("");
  ASSERT_TRUE(recovers());
}

TEST_F(ConsulFaultsTest, KeepsTheLastSetWhileEverythingIsRefused) {
  consul_.set("web", "a", instance(1));
  start_synced();
  consul_.answer_status(500);
  ASSERT_TRUE(goes_stale("Status"));
  EXPECT_THAT(sink_.stale->message, HasSubstr("500"));
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready"));
  consul_.answer_status(200);
  ASSERT_TRUE(recovers());
}

TEST_F(ConsulFaultsTest, IsStaleWhileTheClusterHasNoLeader) {
  consul_.set("web", "a", instance(1));
  start_synced();
  consul_.lose_leader(true);
  ASSERT_TRUE(goes_stale("NoLeader"));
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready"));
  consul_.lose_leader(false);
  ASSERT_TRUE(recovers());
}

TEST_F(ConsulFaultsTest, DoesNotFollowAnswersWithoutAnIndex) {
  consul_.set("web", "a", instance(1));
  start_synced();
  consul_.omit_index(true);
  ASSERT_TRUE(goes_stale("Protocol"));
  EXPECT_THAT(sink_.stale->message, HasSubstr("X-Consul-Index"));
  consul_.omit_index(false);
  ASSERT_TRUE(recovers());
  consul_.answer_index("soon");
  ASSERT_TRUE(goes_stale("Protocol"));
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready"));
}

TEST_F(ConsulFaultsTest, CallsNobodyOnceItHasStopped) {
  start_synced();
  source_->stop();
  const auto before = sink_.syncs;
  consul_.set("web", "a", instance(1));
  io_.restart();
  io_.run_for(100ms);
  EXPECT_EQ(sink_.syncs, before);
  EXPECT_THAT(sink_.services, IsEmpty());
}

TEST_F(ConsulFaultsTest, MayBeDestroyedInTheMiddleOfAnything) {
  for (int round = 0; round < 20; ++round) {
    start();
    consul_.set("web", "a", instance(round));
    io_.restart();
    for (int step = 0; step < round; ++step) io_.run_one_for(5ms);
    source_.reset();
  }
  io_.restart();
  io_.run_for(50ms);
}

}  // namespace
}  // namespace lb::sources
