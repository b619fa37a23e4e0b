// A fleet against several data planes over real sockets.
#include "controller/fleet.hpp"

#include <gmock/gmock.h>

#include "tests/unit/controller/program/fake_dataplane.hpp"

namespace lb::controller {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class Observer : public FleetObserver {
 public:
  void held(const DesiredState& state) override { found.push_back(state); }
  void published(const std::set<std::string>& keys) override {
    named.insert(keys.begin(), keys.end());
  }
  void features(std::set<std::string> all) override { common = std::move(all); }
  void failed(std::vector<Failure> all) override { failures = std::move(all); }
  void health(const std::set<std::string>& keys) override { sick.insert(keys.begin(), keys.end()); }
  void unheard(bool any) override { unheards.push_back(any); }
  void some_lost(bool any) override { partial_losses.push_back(any); }
  void lost(bool lost) override { losses.push_back(lost); }

  std::vector<DesiredState> found;
  std::set<std::string> named;
  std::set<std::string> common;
  std::vector<Failure> failures;
  std::vector<bool> losses;
  std::vector<bool> partial_losses;
  std::vector<bool> unheards;
  std::set<std::string> sick;
};

class FleetTest : public testing::Test {
 protected:
  static Publisher::Options options() {
    return {.coalesce = 5ms, .poll = 1s, .silent_after = 1s, .lost_after = 2s};
  }
  Publisher::Target at(const char* name, const FakeDataplane& plane) const {
    return {name, plane.address()};
  }
  static Publisher::Target nowhere(const char* name) {
    return {name, net::SocketAddress{net::UnixPath{"/nonexistent/empalme"}}};
  }
  bool until(const std::function<bool()>& holds) { return run_until(io, holds); }
  bool confirmed(const std::string& key) const {
    const auto out = fleet.publication(key);
    return out && out->confirmed;
  }

  asio::io_context io;
  FakeDataplane first{io}, second{io};
  Observer observer;
  Fleet fleet{io, options(), observer};
};

TEST_F(FleetTest, EveryMemberGetsWhatIsWanted) {
  fleet.list({at("one", first), at("two", second)});
  fleet.start();
  fleet.set("a", service("a"));
  ASSERT_TRUE(until([&] { return confirmed("a"); }));
  EXPECT_THAT(first.held.services, SizeIs(1));
  EXPECT_THAT(second.held.services, SizeIs(1));
  EXPECT_THAT(observer.named, testing::Contains("a"));
}

TEST_F(FleetTest, NothingIsSentBeforeItIsStarted) {
  fleet.list({at("one", first)});
  fleet.set("a", service("a"));
  io.run_for(50ms);
  EXPECT_THAT(first.writes, IsEmpty());
  EXPECT_FALSE(fleet.contacted());
}

TEST_F(FleetTest, OneOfTwoIsNotEnoughToBeConfirmed) {
  second.instead.assign(20, net::json_response(422, R"({"reason":"Schema"})"));
  fleet.list({at("one", first), at("two", second)});
  fleet.start();
  fleet.set("a", service("a"));
  ASSERT_TRUE(until([&] { return fleet.publication("a").has_value(); }));
  EXPECT_FALSE(confirmed("a"));
}

TEST_F(FleetTest, OneThatNeverAnswersHoldsNobodyUp) {
  fleet.list({at("one", first), nowhere("two")});
  fleet.start();
  fleet.set("a", service("a"));
  ASSERT_TRUE(until([&] { return confirmed("a"); }));
  EXPECT_EQ(fleet.answering(), 1u);
}

TEST_F(FleetTest, SaysThatOneIsLostUntilItIsNoLongerListed) {
  fleet.list({at("one", first), nowhere("two")});
  fleet.start();
  ASSERT_TRUE(until([&] {
    first.tell_polls();
    return !observer.partial_losses.empty();
  }));
  EXPECT_THAT(observer.losses, IsEmpty()) << "the other answers";
  fleet.list({at("one", first)});
  EXPECT_THAT(observer.partial_losses, ElementsAre(true, false));
}

TEST_F(FleetTest, ANewMemberGetsEverything) {
  fleet.list({at("one", first)});
  fleet.start();
  fleet.set("a", service("a"));
  ASSERT_TRUE(until([&] { return confirmed("a"); }));
  fleet.list({at("one", first), at("two", second)});
  ASSERT_TRUE(until([&] { return second.held.services.size() == 1; }));
  EXPECT_THAT(first.writes, SizeIs(1)) << "the one that was there is left alone";
}

TEST_F(FleetTest, WhatAFormerMemberHoldsCountsNoMore) {
  fleet.list({at("one", first), at("two", second)});
  fleet.start();
  fleet.set("a", service("a"));
  ASSERT_TRUE(until([&] { return confirmed("a"); }));
  observer.named.clear();
  fleet.list({at("one", first)});
  EXPECT_THAT(observer.named, ElementsAre("a"));
  EXPECT_THAT(fleet.members(), SizeIs(1));
  EXPECT_TRUE(confirmed("a"));
}

TEST_F(FleetTest, FeaturesAreThoseThatAllHave) {
  first.features = R"("protocol=tcp","protocol=udp")";
  fleet.list({at("one", first), at("two", second)});
  fleet.start();
  ASSERT_TRUE(until([&] { return observer.common.size() == 1; }));
  EXPECT_THAT(observer.common, ElementsAre("protocol=tcp"));
}

TEST_F(FleetTest, FailuresSayWhoseTheyAre) {
  first.failed = R"({"key":"a","address":"192.0.2.1","port":80,"protocol":"tcp","reason":"R",)"
                 R"("message":"m"})";
  fleet.list({at("one", first), at("two", second)});
  fleet.start();
  ASSERT_TRUE(
      until([&] { return !observer.failures.empty() && observer.failures[0].message != "m"; }));
  ASSERT_THAT(observer.failures, SizeIs(1));
  EXPECT_THAT(observer.failures[0].message, HasSubstr("one: m"));
}

TEST_F(FleetTest, HealthIsThatOfTheMemberThatSeesItWorst) {
  const std::string head = R"({"key":"a","ports":[{"backends":[{"state":"ready","health":)";
  first.services = head + R"("up"}]}]})";
  second.services = head + R"("down","backend":"10.0.0.1:80","reason":"Refused"}]}]})";
  fleet.list({at("one", first), at("two", second)});
  fleet.start();
  ASSERT_TRUE(until([&] { return fleet.health("a") && fleet.health("a")->hopeless(); }));
  EXPECT_EQ(fleet.health("a")->reason, "two: 10.0.0.1:80 is down (Refused)");
  EXPECT_THAT(observer.sick, ElementsAre("a"));
  second.services.clear();
  second.instance = "another";
  second.tell_polls();
  ASSERT_TRUE(until([&] { return fleet.health("a") && !fleet.health("a")->hopeless(); }))
      << "another life of it knows nothing yet";
}

TEST_F(FleetTest, HealthOfALostMemberCountsNoMoreUntilItAnswers) {
  const std::string head = R"({"key":"a","ports":[{"backends":[{"state":"ready","health":)";
  second.services = head + R"("down","backend":"10.0.0.1:80","reason":"Refused"}]}]})";
  fleet.list({at("one", first), at("two", second)});
  fleet.start();
  ASSERT_TRUE(until([&] { return fleet.health("a") && fleet.health("a")->hopeless(); }));
  observer.sick.clear();
  first.features += R"(,"protocol=udp")";
  const auto reach = [&] { return fleet.members().at("two")->reach(); };
  ASSERT_TRUE(until([&] {
    first.tell_polls();
    return reach() == plan::Reach::kLost;
  }));
  EXPECT_FALSE(fleet.health("a"));
  EXPECT_THAT(observer.sick, ElementsAre("a"));
  observer.sick.clear();
  second.tell_polls();
  ASSERT_TRUE(until([&] { return reach() == plan::Reach::kAnswers && fleet.health("a"); }));
  EXPECT_THAT(observer.sick, ElementsAre("a"));
}

TEST_F(FleetTest, IsLostOnlyWhenAllAre) {
  fleet.list({nowhere("one"), nowhere("two")});
  fleet.start();
  ASSERT_TRUE(until([&] { return !observer.losses.empty(); }));
  EXPECT_THAT(observer.losses, ElementsAre(true));
  fleet.list({nowhere("one"), at("two", second)});
  ASSERT_TRUE(until([&] { return observer.losses.size() == 2; }));
  EXPECT_FALSE(observer.losses.back());
}

TEST_F(FleetTest, AMemberIsUnheardUntilItAnswersOrIsGivenUp) {
  fleet.list({at("one", first), nowhere("two")});
  fleet.start();
  EXPECT_THAT(observer.unheards, ElementsAre(true));
  ASSERT_TRUE(until([&] { return fleet.contacted(); }));
  EXPECT_THAT(observer.unheards, SizeIs(1)) << "one of two was heard";
  ASSERT_TRUE(until([&] { return observer.unheards.size() == 2; }));
  EXPECT_EQ(fleet.members().at("two")->reach(), plan::Reach::kLost);
  fleet.list({at("one", first), at("two", second)});
  ASSERT_TRUE(until([&] { return observer.unheards.size() == 4; }));
  EXPECT_THAT(observer.unheards, ElementsAre(true, false, true, false));
}

TEST_F(FleetTest, AnEmptyFleetIsLostInTheEnd) {
  fleet.start();
  EXPECT_THAT(observer.losses, IsEmpty());
  ASSERT_TRUE(until([&] { return !observer.losses.empty(); }));
  EXPECT_TRUE(observer.losses.front());
}

TEST_F(FleetTest, KeepsWhatIsServedUnlessSomethingElseIsWanted) {
  first.held = {{1, 1}, {service("a"), service("b")}};
  fleet.list({at("one", first)});
  fleet.set("b", service("b", "192.0.2.9"));
  fleet.keep(service("a"));
  fleet.keep(service("b"));
  fleet.start();
  ASSERT_TRUE(until([&] { return first.writes.size() == 1 && confirmed("b"); }));
  ASSERT_THAT(first.held.services, SizeIs(2));
  EXPECT_EQ(first.held.services[1].addresses[0].to_string(), "192.0.2.9");
}

TEST_F(FleetTest, AskedOncePublisherIsOutbidAllGoOnUnderTheHigherEpoch) {
  first.held.version = {50, 1};
  uint64_t higher = 0;
  fleet.on_superseded = [&](uint64_t epoch) {
    higher = epoch;
    fleet.raise(epoch + 1);
  };
  first.instead.push_back(
      net::json_response(409, R"({"reason":"Order","epoch":50,"generation":1})"));
  fleet.list({at("one", first), at("two", second)});
  fleet.start(7);
  ASSERT_TRUE(
      until([&] { return first.held.version.epoch == 51 && second.held.version.epoch == 51; }));
  EXPECT_EQ(higher, 50u);
}

TEST_F(FleetTest, ALowerEpochThanOursIsNotGoneBackTo) {
  fleet.list({at("one", first), at("two", second)});
  fleet.start(7);
  ASSERT_TRUE(until([&] { return first.writes.size() == 1 && second.writes.size() == 1; }));
  fleet.raise(90);
  fleet.raise(60);
  ASSERT_TRUE(
      until([&] { return first.held.version.epoch == 90 && second.held.version.epoch == 90; }));
}

TEST_F(FleetTest, BeginsAnewAfterAStop) {
  fleet.list({at("one", first)});
  fleet.start(7);
  fleet.set("a", service("a"));
  ASSERT_TRUE(until([&] { return confirmed("a"); }));
  fleet.stop();
  EXPECT_EQ(fleet.publication("a"), std::nullopt);
  fleet.start(9);
  ASSERT_TRUE(until([&] { return first.held.version.epoch == 9; }));
  EXPECT_THAT(observer.found, SizeIs(2));
  EXPECT_THAT(first.held.services, IsEmpty()) << "what was wanted is forgotten";
}

}  // namespace
}  // namespace lb::controller
