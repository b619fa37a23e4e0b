// A Consul agent that is followed while it works.
#include <fstream>

#include "tests/support/temporary_folder.hpp"

#include "tests/unit/controller/sources/consul_source_rig.hpp"

namespace lb::sources {
namespace {

using namespace test_rig;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST_F(ConsulSourceTest, ListsWhatAsksToBeServedAtTheStart) {
  consul_.set("web", "a", instance(1));
  consul_.set("web", "b", instance(2));
  consul_.set("db", "a", {});
  start_synced();
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready", "10.0.0.3 ready"));
  EXPECT_EQ(source_->instances(), 2u);
  EXPECT_EQ(source_->services(), 1u);
  EXPECT_THAT(consul_.targets(), Not(Contains("/v1/health/service/db")));
  EXPECT_FALSE(sink_.stale);
}

TEST_F(ConsulSourceTest, SyncsThoughThereIsNothing) {
  start_synced();
  EXPECT_THAT(sink_.services, IsEmpty());
}

TEST_F(ConsulSourceTest, FollowsInstancesThatComeAndGo) {
  start_synced();
  consul_.set("web", "a", instance(1));
  ASSERT_TRUE(becomes({"10.0.0.2 ready"}));
  consul_.set("web", "b", instance(2));
  ASSERT_TRUE(becomes({"10.0.0.2 ready", "10.0.0.3 ready"}));
  consul_.forget("web", "a");
  ASSERT_TRUE(becomes({"10.0.0.3 ready"}));
  consul_.forget("web", "b");
  ASSERT_TRUE(until([&] { return sink_.services.empty(); }));
  EXPECT_TRUE(until([&] { return source_->services() == 0; }));
  EXPECT_EQ(source_->instances(), 0u);
  EXPECT_GE(source_->counters().catalogues, 3u);
  EXPECT_GE(source_->counters().reads, 4u);
  EXPECT_EQ(source_->counters().errors, 0u);
}

TEST_F(ConsulSourceTest, FollowsChecksAndMaintenance) {
  consul_.set("web", "a", instance(1));
  start_synced();
  consul_.set("web", "a", critical(1));
  ASSERT_TRUE(becomes({"10.0.0.2 not_ready"}));
  auto maintained = instance(1);
  maintained.checks = R"({"CheckID":"_service_maintenance:a","Status":"critical"})";
  consul_.set("web", "a", maintained);
  ASSERT_TRUE(becomes({"10.0.0.2 draining"}));
  consul_.set("web", "a", instance(1));
  ASSERT_TRUE(becomes({"10.0.0.2 ready"}));
}

TEST_F(ConsulSourceTest, StopsServingWhatNoLongerAsks) {
  consul_.set("web", "a", instance(1));
  start_synced();
  auto silent = instance(1);
  silent.tags = "\"v2\"";
  consul_.set("web", "a", silent);
  ASSERT_TRUE(until([&] { return sink_.services.empty(); }));
}

TEST_F(ConsulSourceTest, HearsOfAChangeThroughAQueryThatWaits) {
  consul_.set("web", "a", instance(1));
  start_synced();
  ASSERT_TRUE(until([&] { return consul_.waiting() == 1; }));
  const auto before = source_->counters().reads;
  consul_.set("web", "a", critical(1));
  ASSERT_TRUE(becomes({"10.0.0.2 not_ready"}));
  EXPECT_EQ(source_->counters().reads, before + 1);
  EXPECT_THAT(consul_.waits_asked(), ElementsAre("8000ms"));
}

TEST_F(ConsulSourceTest, DoesNotMindQueriesThatEndWithoutNews) {
  options_.watches.wait = 20ms;
  consul_.set("web", "a", instance(1));
  start_synced();
  ASSERT_TRUE(until([&] { return source_->counters().reads >= 5; }));
  EXPECT_EQ(sink_.upserts, 1u);
  EXPECT_EQ(sink_.removals, 0u);
  EXPECT_EQ(source_->counters().errors, 0u);
}

TEST_F(ConsulSourceTest, BeginsAtTheFrontWhenTheIndexGoesBackwards) {
  options_.watches.wait = 50ms;
  consul_.set("web", "a", instance(1));
  start_synced();
  consul_.restart_index();
  ASSERT_TRUE(until([&] { return source_->counters().resets >= 2; })) << "catalogue and service";
  consul_.set("web", "b", instance(2));
  ASSERT_TRUE(becomes({"10.0.0.2 ready", "10.0.0.3 ready"}));
  EXPECT_EQ(source_->counters().errors, 0u);
}

TEST_F(ConsulSourceTest, WaitsThoughAnIndexIsZero) {
  consul_.answer_index("0");
  consul_.set("web", "a", instance(1));
  start_synced();
  EXPECT_TRUE(until([&] { return consul_.waiting() == 1; })) << "index 1 waits, 0 would not";
}

TEST_F(ConsulSourceTest, AsksNoFasterThanItsPauseWhateverHappens) {
  options_.watches.pause = 50ms;
  consul_.set("web", "a", instance(1));
  start_synced();
  const auto before = source_->counters().reads;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 200; ++i) {
    consul_.set("web", "a", i % 2 ? instance(1) : critical(1));
    io_.restart();
    io_.run_for(1ms);
  }
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_LE(source_->counters().reads - before, static_cast<uint64_t>(took / 50ms) + 2);
  ASSERT_TRUE(becomes({"10.0.0.2 ready"}));
}

TEST_F(ConsulSourceTest, TakesTurnsWhereThereAreMoreServicesThanQueries) {
  options_.watches.most = 4;
  options_.watches.round = 500ms;
  for (int i = 0; i < 20; ++i) {
    consul_.set("s" + std::to_string(i), "a", instance(i, 1000 + i));
  }
  start_synced();
  EXPECT_EQ(sink_.services.size(), 20u);
  for (int i = 0; i < 20; ++i) {
    consul_.set("s" + std::to_string(i), "a", critical(i));
  }
  ASSERT_TRUE(until([&] {
    size_t changed = 0;
    for (int i = 0; i < 20; ++i) {
      const auto now = backends("s" + std::to_string(i));
      changed += now.size() == 1 && now[0].ends_with("not_ready") ? 1 : 0;
    }
    return changed == 20;
  }));
  EXPECT_LE(consul_.counts().most_waiting, 4u);
  EXPECT_LE(consul_.counts().connections, 6u) << "kept, with the catalogue's and the leader's";
  EXPECT_THAT(consul_.waits_asked(), Contains("100ms"));
}

TEST_F(ConsulSourceTest, KeepsWhatItKnewOfAnInstanceThatCannotBeRead) {
  consul_.set("web", "a", instance(1));
  consul_.set("web", "b", instance(2));
  start_synced();
  auto broken = instance(1);
  broken.port = "-1";
  consul_.set("web", "a", broken);
  ASSERT_TRUE(until([&] { return source_->counters().unread == 1; }));
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready", "10.0.0.3 ready"));
  EXPECT_FALSE(sink_.stale);
}

TEST_F(ConsulSourceTest, FollowsServicesWhoseNamesNeedEscapes) {
  consul_.set("web+v2?x", "a", instance(1));
  start_synced();
  EXPECT_THAT(backends("web+v2?x"), ElementsAre("10.0.0.2 ready"));
}

TEST_F(ConsulSourceTest, LeavesOutServicesOfWhichNoKeyCanBeMade) {
  consul_.set("a b", "a", instance(1));
  consul_.set("web", "a", instance(2));
  start_synced();
  EXPECT_EQ(sink_.services.size(), 1u);
  EXPECT_EQ(source_->counters().unread, 1u);
}

class ConsulTokenTest : public ConsulSourceTest {
 protected:
  ConsulTokenTest() {
    options_.token_file = folder_.path() + "/token";
    consul_.set("web", "a", instance(1));
  }
  void write(const std::string& text) { std::ofstream(options_.token_file) << text; }

  const test::TemporaryFolder folder_;
};

TEST_F(ConsulTokenTest, IsReadFromItsFile) {
  write("sesame\n");
  consul_.want_token("sesame");
  start_synced();
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready"));
}

TEST_F(ConsulTokenTest, IsInNoErrorAndReadAgainOnceItIsRefused) {
  write("open");
  consul_.want_token("sesame");
  start();
  ASSERT_TRUE(goes_stale("Denied"));
  EXPECT_THAT(sink_.stale->message, AllOf(HasSubstr("403"), Not(HasSubstr("open"))));
  write("sesame");
  ASSERT_TRUE(recovers());
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready"));
}

TEST_F(ConsulTokenTest, IsTakenAwayWithoutTakingTheServices) {
  write("sesame");
  consul_.want_token("sesame");
  start_synced();
  consul_.want_token("other");
  ASSERT_TRUE(goes_stale("Denied"));
  EXPECT_THAT(backends(), ElementsAre("10.0.0.2 ready"));
}

TEST_F(ConsulTokenTest, IsMissedByName) {
  start();
  ASSERT_TRUE(goes_stale("Token"));
  EXPECT_THAT(sink_.stale->message, HasSubstr(options_.token_file));
  for (const char* text : {"", "two words", "a\r\nX-Evil: 1"}) {
    write(text);
    const auto before = sink_.troubles;
    ASSERT_TRUE(until([&] { return sink_.troubles >= before + 2; }));
    EXPECT_THAT(sink_.stale->message, HasSubstr("holds no token"));
  }
  EXPECT_THAT(consul_.targets(), IsEmpty()) << "nothing is asked without it";
}

}  // namespace
}  // namespace lb::sources
