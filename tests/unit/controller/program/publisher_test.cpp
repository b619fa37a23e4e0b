// The publisher against a data plane that is told what to answer, over a real socket.
#include "controller/publisher.hpp"

#include <gmock/gmock.h>

#include "controller/dataplane_json.hpp"
#include "tests/unit/controller/program/fake_dataplane.hpp"

namespace lb::controller {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class Observer : public PublisherObserver {
 public:
  void held(Publisher&, const DesiredState& state) override { found = state; }
  void acknowledged(Publisher&, const std::set<std::string>& keys,
                    const std::vector<Failure>&) override {
    ++acknowledgements;
    last = keys;
  }
  void status(Publisher&, const DataplaneStatus& status) override { features = status.features; }
  void reached(Publisher& by) override { reach.push_back(by.reach()); }
  void superseded(Publisher&, uint64_t held_epoch) override { higher = held_epoch; }

  std::optional<DesiredState> found;
  std::set<std::string> last;
  int acknowledgements = 0;
  std::set<std::string> features;
  std::vector<plan::Reach> reach;
  uint64_t higher = 0;
};

class PublisherTest : public testing::Test {
 protected:
  void make(net::SocketAddress address, Publisher::Options options) {
    publisher = std::make_unique<Publisher>(io, options, Publisher::Target{"one", address}, wanted,
                                            book, observer);
  }
  void start(std::optional<uint64_t> epoch = {}) {
    make(dataplane.address(), {.coalesce = 5ms});
    publisher->start(epoch);
  }
  void set(const std::string& key) {
    wanted[key] = std::make_shared<const Service>(service(key));
    publisher->touch(key);
  }
  void unset(const std::string& key) {
    wanted.erase(key);
    publisher->touch(key);
  }
  bool acknowledged(int times) {
    return run_until(io, [&] { return observer.acknowledgements >= times; });
  }

  asio::io_context io;
  FakeDataplane dataplane{io};
  Observer observer;
  WantedServices wanted;
  plan::CertificateBook book;
  std::unique_ptr<Publisher> publisher;
};

TEST_F(PublisherTest, CountsHowLongEachChangeTookAndIsBehindUntilThen) {
  start();
  set("a");
  ASSERT_TRUE(acknowledged(1));
  set("b");
  EXPECT_GT(publisher->times().age(std::chrono::steady_clock::now()).count(), 0);
  ASSERT_TRUE(acknowledged(2));
  EXPECT_EQ(publisher->times().histogram().count, 2U);
  EXPECT_GE(publisher->times().histogram().sum, .005) << "changes are gathered for so long";
  EXPECT_EQ(publisher->times().age(std::chrono::steady_clock::now()).count(), 0);
}

TEST_F(PublisherTest, WhatChangedAndChangedBackWasNeverBehind) {
  start();
  set("a");
  ASSERT_TRUE(acknowledged(1));
  unset("a");
  set("a");
  const auto age = [&] { return publisher->times().age(std::chrono::steady_clock::now()).count(); };
  EXPECT_TRUE(run_until(io, [&] { return age() == 0; }));
  EXPECT_EQ(publisher->times().histogram().count, 1U);
}

TEST_F(PublisherTest, ReadsWhatIsHeldBeforeItWrites) {
  dataplane.held = {{7, 3}, {service("file/old")}};
  start();
  ASSERT_TRUE(acknowledged(1));
  EXPECT_EQ(observer.found->services.at(0).key, "file/old");
  EXPECT_EQ(dataplane.held.version, (Version{8, 1})) << "held epoch + 1";
  EXPECT_TRUE(dataplane.held.services.empty()) << "nothing is wanted";
}

TEST_F(PublisherTest, BeginsWithAPutAndGoesOnWithPatches) {
  start();
  ASSERT_TRUE(acknowledged(1));
  set("a");
  ASSERT_TRUE(acknowledged(2));
  EXPECT_THAT(dataplane.writes, ElementsAre("PUT", "PATCH"));
  EXPECT_EQ(dataplane.held.services.at(0).key, "a");
  EXPECT_THAT(observer.features, ElementsAre("protocol=tcp"));
}

TEST_F(PublisherTest, GathersChangesThatComeTogether) {
  start();
  ASSERT_TRUE(acknowledged(1));
  for (int i = 0; i < 50; ++i) set("s" + std::to_string(i));
  ASSERT_TRUE(acknowledged(2));
  EXPECT_THAT(dataplane.writes, SizeIs(2));
  EXPECT_THAT(dataplane.held.services, SizeIs(50));
  EXPECT_THAT(observer.last, SizeIs(50)) << "and every one is named";
}

TEST_F(PublisherTest, APatchNamesWhatChangedAndNothingElse) {
  start();
  for (const char* key : {"a", "b", "c"}) set(key);
  ASSERT_TRUE(acknowledged(1));
  wanted["b"] = std::make_shared<const Service>(service("b", "192.0.2.9"));
  publisher->touch("b");
  publisher->touch("c");
  ASSERT_TRUE(acknowledged(2));
  EXPECT_THAT(observer.last, ElementsAre("b"));
  EXPECT_THAT(dataplane.held.services, SizeIs(3));
}

TEST_F(PublisherTest, AChangeThatIsTakenBackIsNotSent) {
  start();
  set("a");
  ASSERT_TRUE(acknowledged(1));
  unset("a");
  set("a");
  io.run_for(50ms);
  EXPECT_THAT(dataplane.writes, SizeIs(1));
}

TEST_F(PublisherTest, GoesOnUnderTheEpochOfItsLeadership) {
  dataplane.held = {{7, 3}, {}};
  start(7);
  ASSERT_TRUE(acknowledged(1));
  EXPECT_EQ(dataplane.held.version, (Version{7, 4}));
}

TEST_F(PublisherTest, AHigherEpochIsOutbidByWhoeverStillLeads) {
  start(5);
  ASSERT_TRUE(acknowledged(1));
  dataplane.held.version = {99, 1};
  dataplane.instead.push_back(
      net::json_response(409, R"({"reason":"Order","epoch":99,"generation":1})"));
  set("a");
  ASSERT_TRUE(run_until(io, [&] { return publisher->superseded(); }));
  EXPECT_EQ(observer.higher, 99u);
  publisher->restart(100);
  ASSERT_TRUE(acknowledged(2));
  EXPECT_EQ(dataplane.held.version, (Version{100, 1}));
  EXPECT_THAT(dataplane.held.services, SizeIs(1));
  EXPECT_FALSE(publisher->superseded());
}

TEST_F(PublisherTest, SendsNothingWhenNothingChanges) {
  start();
  set("a");
  ASSERT_TRUE(acknowledged(1));
  set("a");
  unset("nobody");
  io.run_for(50ms);
  EXPECT_THAT(dataplane.writes, SizeIs(1));
}

TEST_F(PublisherTest, RemovesWhatIsNoLongerWanted) {
  start();
  set("a");
  ASSERT_TRUE(acknowledged(1));
  unset("a");
  ASSERT_TRUE(acknowledged(2));
  EXPECT_TRUE(dataplane.held.services.empty());
}

TEST_F(PublisherTest, AConflictLeadsToTheWholeState) {
  start();
  ASSERT_TRUE(acknowledged(1));
  dataplane.instead.push_back(
      net::json_response(409, R"({"reason":"Order","epoch":1,"generation":9})"));
  set("a");
  ASSERT_TRUE(acknowledged(2));
  EXPECT_THAT(dataplane.writes, ElementsAre("PUT", "PATCH", "PUT"));
  EXPECT_EQ(dataplane.held.version.generation, 10u);
  EXPECT_EQ(publisher->counters().conflicts, 1u);
}

TEST_F(PublisherTest, StopsForGoodWhenAHigherEpochIsHeld) {
  start();
  ASSERT_TRUE(acknowledged(1));
  dataplane.instead.push_back(
      net::json_response(409, R"({"reason":"Order","epoch":99,"generation":1})"));
  set("a");
  ASSERT_TRUE(run_until(io, [&] { return publisher->superseded(); }));
  set("b");
  io.run_for(100ms);
  EXPECT_THAT(dataplane.writes, SizeIs(2));
}

TEST_F(PublisherTest, ARefusedStateIsTriedAgainAndCounted) {
  start();
  ASSERT_TRUE(acknowledged(1));
  dataplane.instead.push_back(net::json_response(422, R"({"reason":"Schema","pointer":"/x"})"));
  set("a");
  ASSERT_TRUE(acknowledged(2));
  EXPECT_EQ(publisher->counters().refused, 1u);
}

TEST_F(PublisherTest, ARestartedDataPlaneGetsTheWholeState) {
  start();
  set("a");
  ASSERT_TRUE(acknowledged(1));
  ASSERT_TRUE(run_until(io, [&] { return !dataplane.polls.empty(); }));
  dataplane.instance = "another";
  dataplane.held = {};
  dataplane.tell_polls();
  ASSERT_TRUE(acknowledged(2));
  EXPECT_THAT(dataplane.held.services, SizeIs(1));
  EXPECT_EQ(publisher->counters().repairs_restarted, 1u);
  EXPECT_EQ(publisher->times().histogram().count, 1u) << "nothing has changed";
}

TEST_F(PublisherTest, AnotherPairLeadsToTheWholeState) {
  start();
  set("a");
  ASSERT_TRUE(acknowledged(1));
  ASSERT_TRUE(run_until(io, [&] { return !dataplane.polls.empty(); }));
  dataplane.held.version.generation = 0;
  dataplane.held.services.clear();
  dataplane.tell_polls();
  ASSERT_TRUE(acknowledged(2));
  EXPECT_THAT(dataplane.held.services, SizeIs(1));
}

TEST_F(PublisherTest, OneThatDoesNotHoldWhatItAcknowledgesIsRepairedButNotFlooded) {
  make(dataplane.address(), {.coalesce = 5ms, .repair_pause = 1h});
  publisher->start();
  set("a");
  ASSERT_TRUE(acknowledged(1));
  ASSERT_TRUE(run_until(io, [&] { return !dataplane.polls.empty(); }));
  dataplane.lie = Version{1, 0};
  dataplane.tell_polls();
  ASSERT_TRUE(acknowledged(2));
  EXPECT_EQ(publisher->counters().repairs_differing, 1u);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(run_until(io, [&] { return !dataplane.polls.empty(); }));
    dataplane.tell_polls();
  }
  ASSERT_TRUE(run_until(io, [&] { return !dataplane.polls.empty(); }));
  EXPECT_EQ(publisher->counters().repairs_differing, 1u);
  EXPECT_THAT(dataplane.writes, ElementsAre("PUT", "PUT"));
}

TEST_F(PublisherTest, NewsThatAnAcknowledgementHasOvertakenAreNoOtherPairUntilTheyAreToldAgain) {
  start();
  ASSERT_TRUE(acknowledged(1));
  ASSERT_TRUE(run_until(io, [&] { return !dataplane.polls.empty(); }));
  dataplane.lie = dataplane.held.version;
  set("a");
  ASSERT_TRUE(acknowledged(2));
  dataplane.tell_polls();
  ASSERT_TRUE(run_until(io, [&] { return !dataplane.polls.empty(); }));
  EXPECT_EQ(publisher->counters().repairs_differing, 0u);
  EXPECT_THAT(dataplane.writes, ElementsAre("PUT", "PATCH"));
  dataplane.tell_polls();
  ASSERT_TRUE(acknowledged(3));
  EXPECT_EQ(publisher->counters().repairs_differing, 1u);
}

TEST_F(PublisherTest, AsksForNewsNoMoreOftenThanThePauseAllows) {
  make(dataplane.address(), {.coalesce = 5ms, .poll_pause = 1h});
  publisher->start();
  ASSERT_TRUE(acknowledged(1));
  ASSERT_TRUE(run_until(io, [&] { return !dataplane.polls.empty(); }));
  dataplane.tell_polls();
  for (int n = 2; n < 5; ++n) {
    set("a" + std::to_string(n));
    ASSERT_TRUE(acknowledged(n));
  }
  EXPECT_THAT(dataplane.polls, IsEmpty()) << "three answers later";
}

TEST_F(PublisherTest, AsksForNewsAgainAfterThePause) {
  make(dataplane.address(), {.coalesce = 5ms, .poll_pause = 20ms});
  publisher->start();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(run_until(io, [&] { return !dataplane.polls.empty(); }));
    dataplane.tell_polls();
  }
}

TEST_F(PublisherTest, SaysWhenNobodyAnswersForTooLong) {
  make(net::UnixPath{"/nonexistent/empalme"}, {.silent_after = 1s, .lost_after = 2s});
  publisher->start();
  ASSERT_TRUE(run_until(io, [&] { return !observer.reach.empty(); }));
  EXPECT_THAT(observer.reach, ElementsAre(plan::Reach::kLost)) << "silent is what it began with";
  EXPECT_FALSE(publisher->contacted());
  EXPECT_GE(publisher->counters().errors, 1u);
}

TEST_F(PublisherTest, OneThatFallsSilentIsSilentFirstAndLostLater) {
  make(dataplane.address(), {.coalesce = 5ms, .poll = 1s, .silent_after = 1s, .lost_after = 2s});
  publisher->start();
  ASSERT_TRUE(run_until(io, [&] { return !observer.reach.empty(); }));
  ASSERT_TRUE(run_until(io, [&] { return observer.reach.size() >= 3; })) << "polls stay unanswered";
  EXPECT_THAT(observer.reach,
              ElementsAre(plan::Reach::kAnswers, plan::Reach::kSilent, plan::Reach::kLost));
}

TEST_F(PublisherTest, PublishesAfterANewLeadershipThatFoundNobody) {
  start(5);
  set("a");
  ASSERT_TRUE(acknowledged(1));
  dataplane.instead.push_back(net::json_response(503, "{}"));
  dataplane.unread.push_back(net::json_response(503, "{}"));
  set("b");
  ASSERT_TRUE(run_until(io, [&] { return publisher->counters().refused == 1; }));
  publisher->restart(6);
  EXPECT_TRUE(acknowledged(2)) << "two waits at once, and neither ends the other";
  set("c");
  EXPECT_TRUE(acknowledged(3));
}

TEST(DataplaneJson, ReadsAStatusAndPassesOverWhatItDoesNotKnow) {
  const auto status = decode_status(
      R"({"schema":"empalme.io/v1","features":["a",3],"instance":"i","rev":"r","epoch":2,
          "generation":5,"new":{},"failed":[{"key":"k","address":"192.0.2.1","port":80,
          "protocol":"udp","reason":"R","message":"m"},7]})");
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status->version, (Version{2, 5}));
  EXPECT_THAT(status->features, ElementsAre("a"));
  ASSERT_THAT(status->failed, SizeIs(1));
  EXPECT_EQ(status->failed[0].protocol, Protocol::kUdp);
}

TEST(DataplaneJson, ThePortThatFaresWorstSpeaksForTheService) {
  const auto status = decode_status(
      R"({"schema":"empalme.io/v1","removed":["gone"],"services":[{"key":"k","ports":[
          {"backends":[{"state":"ready","health":"up"},{"state":"draining","health":"down"}]},
          {"backends":[{"state":"ready","health":"unknown"},
                       {"state":"ready","health":"ejected","backend":"b","reason":"Timeout"}]}]},
          {"key":"empty","ports":[{"backends":[]}]}]})");
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status->health.at("k"), (plan::HealthView{2, 1, "b is ejected (Timeout)"}));
  EXPECT_FALSE(status->health.at("empty").hopeless());
  EXPECT_THAT(status->removed, ElementsAre("gone"));
}

TEST(DataplaneJson, RefusesAnotherSchemaByName) {
  const auto status = decode_status(R"({"schema":"empalme.io/v9"})");
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("empalme.io/v9"));
  EXPECT_FALSE(decode_status("[").ok());
  EXPECT_EQ(decode_refusal("garbage").reason, "");
}

}  // namespace
}  // namespace lb::controller
