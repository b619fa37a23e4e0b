// A Docker daemon that is followed while it works, and while it does not.
#include "tests/unit/controller/sources/docker_source_rig.hpp"

namespace lb::sources {
namespace {

using namespace test_rig;
using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(DockerSourceTest, ListsWhatIsThereAtTheStart) {
  docker_.set("a", web(1));
  docker_.set("b", web(2));
  docker_.set("other", {});
  start_synced();
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready", "10.0.0.3 ready"));
  EXPECT_EQ(source_->containers(), 2u);
  EXPECT_EQ(source_->counters().lists, 1u);
  EXPECT_FALSE(sink_.stale);
}

TEST_F(DockerSourceTest, SyncsThoughThereIsNothing) {
  start_synced();
  EXPECT_THAT(sink_.services, IsEmpty());
}

TEST_F(DockerSourceTest, FollowsContainersThatComeAndGo) {
  start_synced();
  docker_.run("a", web(1));
  ASSERT_TRUE(becomes({"10.0.0.2 ready"}));
  docker_.run("b", web(2));
  ASSERT_TRUE(becomes({"10.0.0.2 ready", "10.0.0.3 ready"}));
  docker_.end("a");
  ASSERT_TRUE(becomes({"10.0.0.3 ready"}));
  docker_.end("b");
  ASSERT_TRUE(until([&] { return sink_.services.empty(); }));
  EXPECT_EQ(source_->counters().lists, 1u) << "events are enough";
  EXPECT_EQ(source_->counters().events, 4u);
  EXPECT_EQ(source_->counters().reads, 4u);
}

TEST_F(DockerSourceTest, FollowsAHealthCheck) {
  auto starting = web(1);
  starting.status = "Up 1 second (health: starting)";
  start_synced();
  docker_.run("a", starting);
  ASSERT_TRUE(becomes({"10.0.0.2 not_ready"}));
  auto healthy = web(1);
  healthy.status = "Up 3 seconds (healthy)";
  docker_.set("a", healthy);
  docker_.tell("health_status: healthy", "a");
  ASSERT_TRUE(becomes({"10.0.0.2 ready"}));
}

TEST_F(DockerSourceTest, DrainsAContainerFromItsSignalToItsEnd) {
  docker_.set("a", web(1));
  docker_.set("b", web(2));
  start_synced();
  docker_.tell("kill", "a", "15");
  ASSERT_TRUE(becomes({"10.0.0.2 draining", "10.0.0.3 ready"}));
  ASSERT_TRUE(until([&] { return source_->counters().reads == 1; })) << "which finds it running";
  docker_.end("a");
  ASSERT_TRUE(becomes({"10.0.0.3 ready"}));
}

TEST_F(DockerSourceTest, IsReadyAgainOnceItHasStartedAgain) {
  docker_.set("a", web(1));
  start_synced();
  docker_.tell("kill", "a", "15");
  ASSERT_TRUE(becomes({"10.0.0.2 draining"}));
  docker_.tell("die", "a");
  docker_.tell("start", "a");
  ASSERT_TRUE(becomes({"10.0.0.2 ready"}));
}

TEST_F(DockerSourceTest, NeverCallsADeadContainerReadyBetweenItsEndAndTheAnswer) {
  docker_.set("a", web(1));
  docker_.set("b", web(2));
  start_synced();
  docker_.tell("kill", "a", "9");
  ASSERT_TRUE(becomes({"10.0.0.2 draining", "10.0.0.3 ready"}));
  ASSERT_TRUE(until([&] { return docker_.counts().reads == 1; }));
  docker_.hold_reads(true);
  docker_.end("a");
  ASSERT_TRUE(until([&] { return source_->counters().events == 2; }));
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 draining", "10.0.0.3 ready"));
  docker_.hold_reads(false);
  ASSERT_TRUE(becomes({"10.0.0.3 ready"}));
}

TEST_F(DockerSourceTest, NeverCallsAContainerReadyByAnAnswerThatIsOlderThanItsLastEnd) {
  docker_.set("a", web(1));
  docker_.set("b", web(2));
  start_synced();
  docker_.tell("kill", "a", "15");
  ASSERT_TRUE(becomes({"10.0.0.2 draining", "10.0.0.3 ready"}));
  ASSERT_TRUE(until([&] { return docker_.counts().reads == 1; }));
  sink_.seen.clear();
  docker_.hold_reads(true);
  docker_.tell("start", "a");
  ASSERT_TRUE(until([&] { return docker_.counts().reads == 2; })) << "which finds it running";
  docker_.end("a");
  ASSERT_TRUE(until([&] { return source_->counters().events == 3; }));
  docker_.hold_reads(false);
  ASSERT_TRUE(becomes({"10.0.0.3 ready"}));
  EXPECT_FALSE(sink_.seen.contains("10.0.0.2 ready"));
}

TEST_F(DockerSourceTest, TakesASignalThatEndsNothingBackAfterAWhile) {
  options_.drain_limit = 100ms;
  docker_.set("a", web(1));
  start_synced();
  docker_.tell("kill", "a", "2");
  ASSERT_TRUE(becomes({"10.0.0.2 draining"}));
  ASSERT_TRUE(becomes({"10.0.0.2 ready"}));
}

TEST_F(DockerSourceTest, DoesNotMindASignalThatIsANotice) {
  docker_.set("a", web(1));
  start_synced();
  docker_.tell("kill", "a", "1");
  ASSERT_TRUE(until([&] { return source_->counters().reads == 1; }));
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready"));
}

TEST_F(DockerSourceTest, FindsByItsListWhatNoEventToldOf) {
  options_.list_interval = 50ms;
  start_synced();
  docker_.set("a", web(1));
  ASSERT_TRUE(becomes({"10.0.0.2 ready"}));
  docker_.forget("a");
  ASSERT_TRUE(until([&] { return sink_.services.empty(); }));
}

TEST_F(DockerSourceTest, TellsOnlyOfServicesThatHaveChanged) {
  options_.list_interval = 20ms;
  docker_.set("a", web(1));
  start_synced();
  ASSERT_TRUE(until([&] { return sink_.syncs >= 5; }));
  EXPECT_EQ(sink_.upserts, 1u);
  EXPECT_EQ(sink_.removals, 0u);
}

TEST_F(DockerSourceTest, KeepsWhatItKnewOfAContainerThatAListCannotRead) {
  options_.list_interval = 20ms;
  docker_.set("a", web(1));
  start_synced();
  auto broken = web(1);
  broken.address = "somewhere";
  docker_.set("a", broken);
  ASSERT_TRUE(until([&] { return source_->counters().unread >= 2; }));
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready"));
}

TEST_F(DockerSourceTest, KeepsWhatItKnewOfAContainerThatCannotBeRead) {
  docker_.set("a", web(1));
  docker_.set("b", web(2));
  start_synced();
  auto broken = web(1);
  broken.address = "somewhere";
  docker_.run("a", broken);
  ASSERT_TRUE(until([&] { return source_->counters().unread == 1; }));
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready", "10.0.0.3 ready"));
  EXPECT_FALSE(sink_.stale);
}

TEST_F(DockerSourceTest, IsStaleWhileThereIsNoDaemonAndSyncsOnceThereIs) {
  docker_.stop();
  start();
  ASSERT_TRUE(until([&] { return sink_.troubles >= 3; }));
  EXPECT_EQ(sink_.stale->code, "Connect");
  EXPECT_THAT(sink_.name, testing::StartsWith("docker/unix:"));
  EXPECT_EQ(sink_.syncs, 0u);
  docker_.set("a", web(1));
  docker_.start();
  ASSERT_TRUE(until([&] { return !sink_.stale; }));
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready"));
}

TEST_F(DockerSourceTest, KeepsTheLastSetWhileTheDaemonRestarts) {
  docker_.set("a", web(1));
  start_synced();
  docker_.stop();
  ASSERT_TRUE(until([&] { return sink_.stale.has_value(); }));
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready"));
  docker_.set("b", web(2));
  docker_.start();
  ASSERT_TRUE(until([&] { return !sink_.stale; }));
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready", "10.0.0.3 ready"));
  EXPECT_GE(source_->counters().errors, 1u);
  docker_.run("c", web(3));
  EXPECT_TRUE(becomes({"10.0.0.2 ready", "10.0.0.3 ready", "10.0.0.4 ready"}));
}

TEST_F(DockerSourceTest, SaysWithinTenSecondsThatADaemonHasStalled) {
  options_ = {.server = {docker_.address()}};
  docker_.set("a", web(1));
  start_synced();
  docker_.stall(true);
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(until([&] { return sink_.stale.has_value(); }, 10s));
  EXPECT_EQ(sink_.stale->code, "Timeout");
  EXPECT_GT(std::chrono::steady_clock::now() - begin, 3s) << "a slow daemon is not a stalled one";
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready"));
  docker_.stall(false);
  ASSERT_TRUE(until([&] { return !sink_.stale; }, 10s));
}

TEST_F(DockerSourceTest, KeepsTheLastSetWhileListsAreGarbage) {
  options_.list_interval = 20ms;
  docker_.set("a", web(1));
  start_synced();
  for (const char* garbage :
       {"<html>502</html>", "{\"message\":\"no\"}", "[{\"Id\":", "\xff\xfe"}) {
    docker_.answer_garbage(garbage);
    ASSERT_TRUE(until([&] { return sink_.stale.has_value(); })) << garbage;
    EXPECT_EQ(sink_.stale->code, "Protocol");
    EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready"));
    docker_.answer_garbage("");
    ASSERT_TRUE(until([&] { return !sink_.stale; })) << garbage;
  }
}

TEST_F(DockerSourceTest, KeepsTheLastSetWhileEverythingIsRefused) {
  docker_.set("a", web(1));
  start_synced();
  docker_.answer_status(500);
  ASSERT_TRUE(until([&] { return sink_.stale.has_value(); }));
  EXPECT_EQ(sink_.stale->code, "Status");
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready"));
  docker_.answer_status(200);
  ASSERT_TRUE(until([&] { return !sink_.stale; }));
}

TEST_F(DockerSourceTest, BeginsAnewAfterAnEventThatIsGarbage) {
  docker_.set("a", web(1));
  start_synced();
  docker_.set("b", web(2));
  docker_.tell_line("half a {");
  ASSERT_TRUE(becomes({"10.0.0.2 ready", "10.0.0.3 ready"}));
  ASSERT_TRUE(until([&] { return !sink_.stale; }));
  EXPECT_EQ(sink_.troubles, 1u);
}

TEST_F(DockerSourceTest, BeginsAnewAfterEventsThatEndWithinALine) {
  docker_.set("a", web(1));
  start_synced();
  docker_.set("b", web(2));
  docker_.cut_events_within_a_line();
  ASSERT_TRUE(becomes({"10.0.0.2 ready", "10.0.0.3 ready"}));
  EXPECT_EQ(docker_.counts().streams, 2u);
}

TEST_F(DockerSourceTest, MissesNothingThatHappensWhileTheListIsUnderWay) {
  docker_.hold_lists(true);
  start();
  ASSERT_TRUE(until([&] { return docker_.counts().lists == 1; }));
  docker_.run("a", web(1));
  ASSERT_TRUE(until([&] { return source_->counters().events == 1; }));
  docker_.hold_lists(false);
  ASSERT_TRUE(until([&] { return sink_.syncs == 1; }));
  EXPECT_TRUE(becomes({"10.0.0.2 ready"})) << "the list was older";
  EXPECT_EQ(source_->counters().reads, 1u);
}

TEST_F(DockerSourceTest, CallsNobodyOnceItHasStopped) {
  start_synced();
  source_->stop();
  const auto before = sink_.syncs;
  docker_.run("a", web(1));
  io_.restart();
  io_.run_for(100ms);
  EXPECT_EQ(sink_.syncs, before);
  EXPECT_THAT(sink_.services, IsEmpty());
}

TEST_F(DockerSourceTest, MayBeDestroyedInTheMiddleOfAnything) {
  for (int round = 0; round < 20; ++round) {
    start();
    docker_.run("a", web(round));
    io_.restart();
    for (int step = 0; step < round; ++step) io_.run_one_for(5ms);
    source_.reset();
  }
  io_.restart();
  io_.run_for(50ms);
}

}  // namespace
}  // namespace lb::sources
