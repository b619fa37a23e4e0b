// Patches and Events through a real writer, on a client that answers as the test says.
#include "controller/service_writes.hpp"

#include <gmock/gmock.h>

#include "tests/unit/controller/core/builders.hpp"
#include "tests/unit/controller/kube/scripted_client.hpp"

namespace lb::controller {
namespace {

using namespace std::chrono_literals;
using testing::Ge;
using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

constexpr char kKey[] = "kubernetes/default/web";

plan::ServicePatch patch(const std::string& version = "1", const char* finalizer = "one") {
  plan::ServicePatch out;
  out.ns = "default";
  out.name = "web";
  out.resource_version = version;
  out.add_finalizers = {finalizer};
  return out;
}

class ServiceWritesTest : public testing::Test {
 protected:
  ServiceWritesTest() { writer.start(); }
  ~ServiceWritesTest() override { writer.stop(); }

  // Bounded by rounds and not by the clock, which runs on while a loaded machine stands still.
  bool until(const std::function<bool()>& holds) {
    io.restart();
    const auto idle = asio::make_work_guard(io);
    for (int round = 0; round < 2'000 && !holds(); ++round) io.run_one_for(5ms);
    return holds();
  }
  // Waits for the answer to one patch, which is the one thing that is posted.
  void hear_one() {
    io.restart();
    const auto idle = asio::make_work_guard(io);
    ASSERT_EQ(io.run_one_for(10s), 1u);
  }
  void say(std::vector<plan::PlannedEvent> events) {
    const auto service = plan::service("web").source();
    writes.say(kKey, *service.kube, events);
  }

  asio::io_context io;
  kube::Script script;
  kube::ApiWriter writer{
      {[this] { return std::make_unique<kube::ScriptedClient>(script); }, [] {}, 100}};
  std::vector<std::pair<std::string, Clock::time_point>> again;
  ServiceWrites writes{io, &writer, 100ms,
                       [this](const std::string& key) { again.emplace_back(key, Clock::now()); }};
};

TEST_F(ServiceWritesTest, ThePatchThatIsUnderWayIsNotSentTwice) {
  EXPECT_TRUE(writes.patch(kKey, patch()));
  EXPECT_FALSE(writes.patch(kKey, patch()));
  EXPECT_EQ(writes.counters().patches, 1u);
}

TEST_F(ServiceWritesTest, AnotherWishOnTheSameVersionIsSentWhileNothingIsWritten) {
  EXPECT_TRUE(writes.patch(kKey, patch("1", "one")));
  EXPECT_TRUE(writes.patch(kKey, patch("1", "two")));
}

TEST_F(ServiceWritesTest, NothingIsWrittenOnAVersionThatItsOwnWriteHasReplaced) {
  script.add(200, R"({"metadata":{"resourceVersion":"2"}})");
  writes.patch(kKey, patch("1", "one"));
  hear_one();
  EXPECT_FALSE(writes.patch(kKey, patch("1", "two")));
  EXPECT_TRUE(writes.patch(kKey, patch("2", "two")));
}

// No newer version is on its way, so nothing would ever wake us.
TEST_F(ServiceWritesTest, AWriteThatChangedNothingStandsInNobodysWay) {
  script.add(200, R"({"metadata":{"resourceVersion":"1"}})");
  writes.patch(kKey, patch("1", "one"));
  hear_one();
  EXPECT_TRUE(writes.patch(kKey, patch("1", "two")));
}

TEST_F(ServiceWritesTest, WhatIsRefusedAgainWaitsTwiceAsLong) {
  std::vector<Clock::time_point> asked;
  for (size_t round = 1; round <= 3; ++round) {
    script.add(422, "{}");
    asked.push_back(Clock::now());
    ASSERT_TRUE(writes.patch(kKey, patch()));
    ASSERT_TRUE(until([&] { return again.size() == round; })) << round;
  }
  EXPECT_THAT(again[0].second - asked[0], Ge(100ms));
  EXPECT_THAT(again[1].second - asked[1], Ge(200ms));
  EXPECT_THAT(again[2].second - asked[2], Ge(400ms));
  EXPECT_EQ(again[0].first, kKey);
  EXPECT_EQ(writes.counters().patch_failures, 3u);
}

TEST_F(ServiceWritesTest, AWriteThatSucceedsEndsTheWaits) {
  for (size_t round = 1; round <= 4; ++round) {
    script.add(422, "{}");
    writes.patch(kKey, patch("1"));
    ASSERT_TRUE(until([&] { return again.size() == round; }));
  }
  script.add(200, "{}");
  writes.patch(kKey, patch("2"));
  hear_one();
  script.add(422, "{}");
  const auto asked = Clock::now();
  writes.patch(kKey, patch("3"));
  ASSERT_TRUE(until([&] { return again.size() == 5; }));
  EXPECT_LT(again[4].second - asked, 1s) << "1.6 s, had it been the fifth in a row";
}

TEST_F(ServiceWritesTest, AConflictIsNoRefusalAndNeverWaitsLonger) {
  for (size_t round = 1; round <= 5; ++round) {
    script.add(409, "{}");
    writes.patch(kKey, patch());
    ASSERT_TRUE(until([&] { return again.size() == round; }));
  }
  EXPECT_EQ(writes.counters().patch_conflicts, 5u);
  EXPECT_EQ(writes.counters().patch_failures, 0u);
  EXPECT_LT(again[4].second - again[3].second, 1s) << "1.6 s, were it doubled";
}

TEST_F(ServiceWritesTest, AServiceThatIsGoneIsNotAskedForAgain) {
  script.add(404, "{}");
  writes.patch(kKey, patch());
  hear_one();
  io.run_for(200ms);
  EXPECT_TRUE(again.empty());
  EXPECT_TRUE(writes.patch(kKey, patch())) << "another one may have its name";
}

TEST_F(ServiceWritesTest, AnEventIsSaidOnceUntilItsWordsChange) {
  for (int i = 0; i < 2; ++i) script.add(201, "{}");
  say({{true, "SyncLoadBalancerFailed", "no address is free"}});
  say({{true, "SyncLoadBalancerFailed", "no address is free"}});
  say({{true, "SyncLoadBalancerFailed", "no pool has that address"}});
  ASSERT_TRUE(until([this] { return script.asked().size() == 2; }));
  EXPECT_THAT(script.asked()[1].body, HasSubstr("no pool has that address"));
  EXPECT_EQ(writes.counters().events, 2u);
}

TEST_F(ServiceWritesTest, AServiceThatBeginsAnewHearsEverythingAnew) {
  say({{false, "EnsuredLoadBalancer", "done"}});
  say({{false, "EnsuringLoadBalancer", "Ensuring load balancer"}});
  say({{false, "EnsuredLoadBalancer", "done"}});
  EXPECT_EQ(writes.counters().events, 3u);
}

TEST_F(ServiceWritesTest, WhatIsForgottenIsWrittenAndSaidAsIfNothingHadBeen) {
  writes.patch(kKey, patch());
  say({{false, "EnsuredLoadBalancer", "done"}});
  writes.forget(kKey);
  EXPECT_TRUE(writes.patch(kKey, patch()));
  say({{false, "EnsuredLoadBalancer", "done"}});
  EXPECT_EQ(writes.counters().events, 2u);
}

TEST_F(ServiceWritesTest, WithoutAClusterNothingIsSentOrCounted) {
  ServiceWrites none(io, nullptr, 100ms, [](const std::string&) {});
  EXPECT_TRUE(none.patch(kKey, patch()));
  none.say(kKey, *plan::service("web").source().kube, {{false, "EnsuredLoadBalancer", "done"}});
  none.clear();
  EXPECT_EQ(none.counters().patches, 0u);
  EXPECT_EQ(none.counters().events, 0u);
}

}  // namespace
}  // namespace lb::controller
