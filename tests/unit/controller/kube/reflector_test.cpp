// List and watch under everything that an API server does to its clients.
#include "controller/kube/reflector.hpp"

#include <gmock/gmock.h>

#include "tests/unit/controller/kube/scripted_client.hpp"

namespace lb::kube {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class Sink : public ReflectorSink {
 public:
  void replaced(std::vector<Item> all) override {
    std::string text = "replaced";
    for (const auto& item : all) text += " " + item.ns + "/" + item.name;
    note(text);
  }
  void changed(Item item) override {
    EXPECT_TRUE(item.json.empty()) << "what is read at once is handed over as it was parsed";
    note("changed " + item.ns + "/" + item.name + (text_of(item).empty() ? " without text" : ""));
    const std::lock_guard lock(mutex_);
    last_json_ = text_of(item);
  }
  void removed(std::string ns, std::string name) override { note("removed " + ns + "/" + name); }
  void connection(std::optional<Error> trouble) override {
    note(trouble ? "trouble " + trouble->code : "fine");
  }
  std::string last_json() {
    const std::lock_guard lock(mutex_);
    return last_json_;
  }
  std::vector<std::string> heard() {
    const std::lock_guard lock(mutex_);
    return heard_;
  }

 private:
  void note(std::string text) {
    const std::lock_guard lock(mutex_);
    heard_.push_back(std::move(text));
  }
  std::mutex mutex_;
  std::vector<std::string> heard_;
  std::string last_json_;
};

std::string object(const std::string& name, const std::string& version) {
  return R"({"metadata":{"namespace":"d","name":")" + name + R"(","resourceVersion":")" + version +
         R"("}})";
}
std::string list(const std::string& version, const std::string& items = "",
                 const std::string& more = "") {
  return R"({"metadata":{"resourceVersion":")" + version + R"(","continue":")" + more +
         R"("},"items":[)" + items + "]}";
}
std::string event(const std::string& type, const std::string& name, const std::string& version) {
  return R"({"type":")" + type + R"(","object":)" + object(name, version) + "}";
}

class ReflectorTest : public testing::Test {
 protected:
  // Starts, waits until the whole script was used, and stops.
  void play() {
    Reflector::Options options{"/api/v1/services",
                               [this] { return std::make_unique<ScriptedClient>(script); },
                               [this] { ++unauthorized; },
                               [this](std::chrono::milliseconds pause) {
                                 pauses.push_back(pause.count());
                                 return false;
                               },
                               watch_list};
    reflector = std::make_unique<Reflector>(std::move(options), sink);
    reflector->start();
    EXPECT_TRUE(script.used_up());
    reflector->stop();
  }
  const ReflectorCounters& counters() { return reflector->counters(); }

  Script script;
  Sink sink;
  int unauthorized = 0;
  bool watch_list = false;
  std::vector<int64_t> pauses;
  std::unique_ptr<Reflector> reflector;
};

TEST_F(ReflectorTest, ListsThenWatchesFromThere) {
  script.add(200, list("7", object("a", "3")));
  script.add_stream({event("ADDED", "b", "8"), event("DELETED", "a", "9")});
  play();
  EXPECT_THAT(sink.heard(), ElementsAre("replaced d/a", "changed d/b", "removed d/a"));
  EXPECT_THAT(script.targets()[1], HasSubstr("resourceVersion=7"));
  EXPECT_THAT(script.targets()[1], HasSubstr("allowWatchBookmarks=true"));
}

TEST_F(ReflectorTest, ResumesFromTheLastBookmark) {
  script.add(200, list("7"));
  script.add_stream({event("BOOKMARK", "", "42")});
  script.add_stream({event("ADDED", "a", "43")});
  play();
  EXPECT_THAT(script.targets()[2], HasSubstr("resourceVersion=42"));
  EXPECT_EQ(counters().lists, 1u);
}

std::string nested(size_t depth) {
  std::string out;
  for (size_t i = 0; i < depth; ++i) out += "{\"f:a\":";
  return out + "1" + std::string(depth, '}');
}

std::string with_field(const std::string& where, const std::string& value) {
  return R"({"type":"ADDED","object":{"metadata":{"namespace":"d","name":"a")" + where + value +
         "}}}";
}

TEST_F(ReflectorTest, LeavesOutTheFieldThatNestsAsDeepAsItsWriterWished) {
  script.add(200, list("7"));
  script.add_stream({with_field(R"(,"managedFields":)", nested(1000))});
  play();
  EXPECT_THAT(sink.heard(), ElementsAre("replaced", "changed d/a"));
  EXPECT_EQ(sink.last_json(), R"({"metadata":{"name":"a","namespace":"d"}})");
}

TEST_F(ReflectorTest, AnObjectThatNestsTooDeepIsNamedWithoutBeingWrittenOut) {
  script.add(200, list("7"));
  script.add_stream({with_field(R"(,"x":)", nested(100'000)), event("ADDED", "b", "9")});
  play();
  EXPECT_THAT(sink.heard(), ElementsAre("replaced", "changed d/a without text", "changed d/b"));
}

TEST_F(ReflectorTest, GathersAllPagesBeforeItSaysAnything) {
  script.add(200, list("7", object("a", "1"), "token"));
  script.add(200, list("7", object("b", "2")));
  play();
  EXPECT_THAT(sink.heard(), ElementsAre("replaced d/a d/b"));
  EXPECT_THAT(script.targets()[1], HasSubstr("continue=token"));
}

TEST_F(ReflectorTest, StartsOverWhenAPageHasExpired) {
  script.add(200, list("7", object("a", "1"), "token"));
  script.add(410, "{}");
  script.add(200, list("9", object("b", "2")));
  play();
  EXPECT_THAT(sink.heard(), ElementsAre("replaced d/b"));
  EXPECT_EQ(counters().gone, 1u);
}

TEST_F(ReflectorTest, ListsAgainAfter410AsAnEvent) {
  script.add(200, list("7", object("a", "1")));
  script.add_stream({R"({"type":"ERROR","object":{"code":410,"reason":"Expired"}})"});
  script.add(200, list("50"));
  play();
  EXPECT_THAT(sink.heard(), ElementsAre("replaced d/a", "replaced"));
  EXPECT_EQ(counters().gone, 1u);
}

TEST_F(ReflectorTest, ListsAgainAfter410AsAStatus) {
  script.add(200, list("7"));
  script.add(410, "{}");
  script.add(200, list("50"));
  play();
  EXPECT_EQ(counters().lists, 2u);
}

TEST_F(ReflectorTest, ARefusedConnectResumesWithoutANewList) {
  script.add(200, list("7"));
  script.fail("Connect");
  script.add_stream({event("ADDED", "a", "8")});
  play();
  EXPECT_EQ(counters().lists, 1u);
  EXPECT_THAT(sink.heard(), ElementsAre("replaced", "trouble Connect", "fine", "changed d/a"));
}

TEST_F(ReflectorTest, ConnectErrorsBackOffToTwoSecondsAtMost) {
  for (int i = 0; i < 12; ++i) script.fail("Connect");
  script.add(200, list("7"));
  play();
  ASSERT_THAT(pauses, SizeIs(12));
  EXPECT_LE(pauses[0], 100);
  for (const auto pause : pauses) EXPECT_LE(pause, 2000);
  EXPECT_GE(pauses.back(), 1000);
}

TEST_F(ReflectorTest, RefusalsBackOffLongerAndNeverEnd) {
  for (int i = 0; i < 12; ++i) script.add(403, R"({"message":"forbidden"})");
  script.add(200, list("7"));
  play();
  EXPECT_GE(pauses.back(), 15'000);
  EXPECT_LE(pauses.back(), 30'000);
  EXPECT_THAT(sink.heard().back(), "fine");
}

TEST_F(ReflectorTest, HonoursRetryAfter) {
  script.add({net::HttpResponse{429, {{"Retry-After", "7"}}, ""}});
  script.add(200, list("7"));
  play();
  EXPECT_THAT(pauses, ElementsAre(7000));
}

TEST_F(ReflectorTest, AsksForNewCredentialsWhenItsOwnAreRefused) {
  script.add(401, "");
  script.add(200, list("7"));
  play();
  EXPECT_EQ(unauthorized, 1);
}

TEST_F(ReflectorTest, GarbageEndsTheWatchAndNothingElse) {
  script.add(200, list("7"));
  script.add_stream({event("ADDED", "a", "8"), "{\"type\":\"ADD", event("ADDED", "b", "9")});
  script.add_stream({event("ADDED", "b", "9")});
  play();
  EXPECT_EQ(counters().bad_events, 1u);
  EXPECT_THAT(script.targets()[2], HasSubstr("resourceVersion=8"));
  EXPECT_THAT(sink.heard(), ElementsAre("replaced", "changed d/a", "changed d/b"));
}

TEST_F(ReflectorTest, AListThatIsNoJsonIsTriedAgain) {
  script.add(200, "<html>");
  script.add(200, list("7"));
  play();
  EXPECT_THAT(sink.heard(), ElementsAre("trouble Closed", "replaced", "fine"));
}

TEST_F(ReflectorTest, AWatchThatEndsAtOnceIsAFault) {
  script.add(200, list("7"));
  script.add_stream({});
  play();
  EXPECT_EQ(counters().errors, 1u);
  EXPECT_THAT(pauses, SizeIs(1));
}

TEST_F(ReflectorTest, UnknownEventsAreCountedAndPassedOver) {
  script.add(200, list("7"));
  script.add_stream({event("SURPRISE", "a", "8"), event("ADDED", "b", "9")});
  play();
  EXPECT_EQ(counters().bad_events, 1u);
  EXPECT_THAT(sink.heard(), ElementsAre("replaced", "changed d/b"));
}

class WatchListTest : public ReflectorTest {
 protected:
  WatchListTest() { watch_list = true; }
  static std::string beginning_ends(const std::string& version) {
    return R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":")" + version +
           R"(","annotations":{"k8s.io/initial-events-end":"true"}}}})";
  }
};

TEST_F(WatchListTest, WhatIsThereComesAsOneListOnceTheBookmarkSaysSo) {
  script.add_stream({event("ADDED", "a", "3"), event("ADDED", "b", "2"), beginning_ends("7"),
                     event("DELETED", "a", "8")});
  play();
  EXPECT_THAT(sink.heard(), ElementsAre("replaced d/a d/b", "removed d/a"));
  EXPECT_THAT(script.targets()[0], HasSubstr("sendInitialEvents=true"));
  EXPECT_THAT(script.targets()[0], HasSubstr("resourceVersionMatch=NotOlderThan"));
  EXPECT_EQ(counters().watch_lists, 1u);
  EXPECT_EQ(counters().lists, 0u);
}

TEST_F(WatchListTest, AServerThatDoesNotKnowItIsAskedForAList) {
  script.add(422, R"({"message":"sendInitialEvents is forbidden"})");
  script.add(200, list("7", object("a", "3")));
  play();
  EXPECT_THAT(sink.heard(), ElementsAre("replaced d/a"));
  EXPECT_EQ(counters().errors, 0u);
}

TEST_F(WatchListTest, AServerThatBreaksOffIsAskedForAList) {
  script.fail("Closed");
  script.add(200, list("7", object("a", "3")));
  play();
  EXPECT_THAT(sink.heard(), Contains("replaced d/a"));
  EXPECT_EQ(counters().lists, 1u);
}

TEST_F(WatchListTest, WhatWasGatheredBeforeTheBookmarkCountsForNothing) {
  script.add_stream({event("ADDED", "a", "3")});
  script.add(200, list("7", object("b", "2")));
  play();
  EXPECT_THAT(sink.heard(), ElementsAre("replaced d/b"));
}

TEST_F(WatchListTest, AVersionThatIsTooOldBeginsAnew) {
  script.add_stream({beginning_ends("7")});
  script.add(410, "{}");
  script.add_stream({event("ADDED", "b", "9"), beginning_ends("9")});
  play();
  EXPECT_THAT(sink.heard(), ElementsAre("replaced", "replaced d/b"));
  EXPECT_EQ(counters().gone, 1u);
}

TEST_F(ReflectorTest, WhatIsNoObjectOfTheResourceIsCountedAndPassedOver) {
  script.add(200, list("7"));
  script.add_stream({R"({"type":"ADDED","object":{"kind":"Table","rows":[]}})"});
  play();
  EXPECT_EQ(counters().bad_events, 1u);
  EXPECT_THAT(sink.heard(), ElementsAre("replaced"));
}

TEST_F(ReflectorTest, AnErrorInsideAWatchIsAFaultAndBacksOff) {
  script.add(200, list("7"));
  script.add_stream({R"({"type":"ERROR","object":{"code":500,"message":"etcd"}})"});
  play();
  EXPECT_EQ(counters().errors, 1u);
  EXPECT_THAT(pauses, SizeIs(1));
}

TEST(Backoff, DoublesUntilItsLimitWithJitterBelow) {
  Backoff backoff(std::chrono::milliseconds(100), std::chrono::milliseconds(800));
  EXPECT_EQ(backoff.next(0).count(), 50);
  EXPECT_EQ(backoff.next(1).count(), 200);
  backoff.next(0);
  EXPECT_EQ(backoff.next(1).count(), 800);
  EXPECT_EQ(backoff.next(1).count(), 800);
  backoff.reset();
  EXPECT_EQ(backoff.next(1).count(), 100);
}

}  // namespace
}  // namespace lb::kube
