#include <gmock/gmock.h>

#include "tests/unit/controller/program/reconciler_fixture.hpp"

namespace lb::controller {
namespace {

using plan::service;
using plan::ServiceBuilder;
using testing::HasSubstr;
using testing::SizeIs;

TEST_F(ReconcilerTest, PlansNothingBeforeSourcesAndDataPlaneAreKnown) {
  sync({service("web")});
  EXPECT_FALSE(reconciler.ready());
  EXPECT_EQ(reconciler.counters().plans, 0u);
  contact();
  EXPECT_TRUE(reconciler.ready());
  EXPECT_EQ(reconciler.usage().assigned, 1u);
}

TEST_F(ReconcilerTest, PlansWithoutADataPlaneOnceItIsGivenUp) {
  sync({service("web")});
  reconciler.lost(true);
  run();
  EXPECT_TRUE(reconciler.ready());
}

TEST_F(ReconcilerTest, MarksThenWritesTheStatus) {
  for (int i = 0; i < 4; ++i) script.add(200, "{}");
  contact();
  sync({service("web").unmarked()});
  auto requests = sent(2);
  ASSERT_THAT(requests, SizeIs(2)) << "finalizers, and an Event";
  EXPECT_THAT(requests[0].body, HasSubstr(plan::kFinalizer));
  EXPECT_THAT(requests[1].body, HasSubstr("EnsuringLoadBalancer"));
  auto marked = service("web");
  marked.object().meta.resource_version = "2";
  reconciler.upsert(marked.source());
  serve();
  requests = sent(4);
  ASSERT_THAT(requests, SizeIs(4));
  EXPECT_THAT(requests[2].body, HasSubstr("\"ip\":\"192.0.2.10\""));
  EXPECT_THAT(requests[3].body, HasSubstr("EnsuredLoadBalancer"));
}

TEST_F(ReconcilerTest, DoesNotRepeatAWriteWhoseEchoIsStillOnItsWay) {
  script.add(200, "{}");
  script.add(200, "{}");
  contact();
  sync({service("web").unmarked()});
  sent(2);
  reconciler.lost(true);  // plans everything again, on the same old Service
  run();
  EXPECT_EQ(reconciler.counters().patches, 1u);
  EXPECT_EQ(reconciler.counters().events, 1u);
}

TEST_F(ReconcilerTest, TriesAWriteAgainThatWasRefused) {
  script.add(403, "{}");
  for (int i = 0; i < 3; ++i) script.add(200, "{}");
  contact();
  sync({service("web").unmarked()});
  sent(2);
  run(1500ms);
  EXPECT_EQ(reconciler.counters().patch_failures, 1u);
  EXPECT_EQ(reconciler.counters().patches, 2u);
}

TEST_F(ReconcilerTest, WritesNothingOnAServiceThatIsOlderThanItsOwnLastWrite) {
  script.add(200, R"({"metadata":{"resourceVersion":"2"}})");
  script.add(200, "{}");  // its Event
  contact();
  auto web = service("web").unmarked();
  sync({web});
  sent(2);
  run();
  web.object().meta.finalizers = {plan::kStandardFinalizer};  // another wish, and still version 1
  reconciler.upsert(web.source());
  run();
  EXPECT_EQ(reconciler.counters().patches, 1u);
  web.object().meta.resource_version = "3";
  reconciler.upsert(web.source());
  run();
  EXPECT_EQ(reconciler.counters().patches, 2u);
}

TEST_F(ReconcilerTest, AServiceThatIsGoneAfterANewListIsRemoved) {
  contact();
  sync({service("a"), service("b")});
  EXPECT_EQ(reconciler.world().services.size(), 2u);
  reconciler.synced("kubernetes/", {service("a").key()});
  run();
  EXPECT_EQ(reconciler.world().services.size(), 1u);
}

TEST_F(ReconcilerTest, FreedAddressesRestAndComeBack) {
  contact();
  sync({service("a")});
  reconciler.start();
  reconciler.synced("kubernetes/", {});
  run();
  EXPECT_EQ(reconciler.usage().quarantined, 1u);
  const auto end = std::chrono::steady_clock::now() + 5s;
  while (reconciler.usage().quarantined != 0 && std::chrono::steady_clock::now() < end) {
    run(50ms);
  }
  EXPECT_EQ(reconciler.usage().quarantined, 0u);
}

TEST_F(ReconcilerTest, CountsStaleSourcesAndProblems) {
  contact();
  sync({service("a").requests("203.0.113.1")});
  EXPECT_EQ(reconciler.problems().at("AddressNotInPool"), 1u);
  reconciler.freshness("kubernetes//x", Error{"Connect", "gone"});
  reconciler.freshness("kubernetes//x", Error{"Connect", "still gone"});
  EXPECT_THAT(reconciler.stale_sources(),
              testing::ElementsAre(testing::Pair("kubernetes//x", Error{"Connect", "still gone"})));
  reconciler.freshness("kubernetes//x", std::nullopt);
  EXPECT_TRUE(reconciler.stale_sources().empty());
}

TEST_F(ReconcilerTest, NodesAddressesAreNeverGiven) {
  contact();
  sync({service("a")});
  reconciler.nodes({plan::ip("192.0.2.10")});
  run();
  const auto planned = reconciler.usage();
  EXPECT_EQ(planned.assigned, 1u);
  EXPECT_EQ(planned.quarantined, 1u) << "moved away from the node's address";
}

TEST_F(ReconcilerTest, WhoeverDoesNotLeadPlansNothingAndFollowsAllTheSame) {
  reconciler.lead(false);
  contact();
  sync({service("a")});
  EXPECT_EQ(reconciler.counters().plans, 0u);
  EXPECT_EQ(reconciler.world().services.size(), 1u);
}

TEST_F(ReconcilerTest, ALeadershipThatEndsBeforeItsPlanPlansNothing) {
  contact();
  sync({service("a")});
  const auto before = reconciler.counters().plans;
  reconciler.upsert(service("b").source());
  reconciler.lead(false);
  run();
  EXPECT_EQ(reconciler.counters().plans, before);
}

TEST_F(ReconcilerTest, LeadingAgainKeepsTheAddressThatTheStatusNames) {
  contact();
  sync({service("a").status("192.0.2.12")});
  reconciler.lead(false);
  EXPECT_EQ(reconciler.usage().assigned, 0u);
  reconciler.lead(true);
  contact();
  run();
  EXPECT_EQ(reconciler.usage().assigned, 1u);
  EXPECT_EQ(reconciler.usage().quarantined, 0u) << "nothing was picked and given back";
}

class TwoSourcesTest : public ReconcilerTest {
 protected:
  TwoSourcesTest() {
    auto both = options();
    both.sources = {"kubernetes/", "file/"};
    both.on_held = [this](const DesiredState& state) { told = state.services.size(); };
    two = std::make_unique<Reconciler>(io, both, nullptr);
    two->set_fleet(fleet);
  }
  void sync_file() {
    plan::SourceService web;
    web.key = "file/web";
    web.addresses = {plan::ip("127.0.0.1")};
    two->upsert(web);
    two->synced("file/", {"file/web"});
    run();
  }

  std::unique_ptr<Reconciler> two;
  size_t told = 0;
};

TEST_F(TwoSourcesTest, ASourceThatIsAwayKeepsNobodyElseWaiting) {
  two->held({});
  sync_file();
  EXPECT_EQ(two->counters().plans, 1u);
  EXPECT_FALSE(two->ready()) << "the cluster has not been heard";
}

TEST_F(TwoSourcesTest, WhatIsServedForASourceThatIsAwayStays) {
  Service served;
  served.key = "kubernetes/default/web";
  two->held({{1, 1}, {served}});
  sync_file();
  EXPECT_EQ(two->counters().plans, 1u) << "the cluster's Service is not planned away";
}

TEST_F(TwoSourcesTest, SourcesHearWhatTheDataPlaneHolds) {
  two->held({{1, 1}, {Service{"file/web", {}, {}, {}}}});
  EXPECT_EQ(told, 1u);
}

class AwaitingPools : public testing::Test {
 protected:
  AwaitingPools() { reconciler.set_fleet(fleet); }
  static Reconciler::Options options() {
    Reconciler::Options out;
    out.sources = {"kubernetes/"};
    out.await_pools = true;
    return out;
  }
  static plan::Pool pool(const std::string& name) {
    plan::Pool out = plan::flags_pool({plan::pool("192.0.2.10-192.0.2.12")});
    out.name = name;
    return out;
  }
  void run() {
    io.restart();
    io.run_for(20ms);
  }
  void sync() {
    reconciler.upsert(service("web").source());
    reconciler.synced("kubernetes/", {"kubernetes/default/web"});
    reconciler.held({});
    run();
  }

  asio::io_context io;
  Reconciler reconciler{io, options(), nullptr};
  Fleet fleet{io, Publisher::Options{}, reconciler};
};

TEST_F(AwaitingPools, NothingIsAllocatedBeforeThePoolsAreKnown) {
  sync();
  EXPECT_EQ(reconciler.counters().plans, 0u);
  EXPECT_FALSE(reconciler.ready());
  reconciler.pools({pool("p")});
  run();
  EXPECT_TRUE(reconciler.ready());
  EXPECT_THAT(reconciler.allocator().held("kubernetes/default/web"), SizeIs(1));
}

TEST_F(AwaitingPools, AServiceWaitsWithAReasonUntilAPoolComes) {
  reconciler.pools({});
  sync();
  EXPECT_EQ(reconciler.problems()["NoPool"], 1u);
  reconciler.pools({pool("p")});
  run();
  EXPECT_THAT(reconciler.allocator().held("kubernetes/default/web"), SizeIs(1));
}

TEST_F(AwaitingPools, TheLabelsOfANamespaceOpenAPool) {
  plan::Pool selective = pool("p");
  selective.namespace_selector = plan::Selector{{{"team", "web"}}, {}};
  reconciler.pools({selective});
  sync();
  EXPECT_EQ(reconciler.problems()["NoPool"], 1u);
  reconciler.namespaces({{"default", {{"team", "web"}}}});
  run();
  EXPECT_THAT(reconciler.allocator().held("kubernetes/default/web"), SizeIs(1));
}

TEST_F(AwaitingPools, TheStatusOfAPoolIsKnownOnceAllIsPlanned) {
  reconciler.pools({pool("p")});
  run();
  EXPECT_TRUE(reconciler.pool_statuses().empty());
  sync();
  EXPECT_EQ(reconciler.pool_statuses()["p"].assigned, 1u);
}

TEST_F(AwaitingPools, WhoeverStandsByHasNothingToSayOfPools) {
  reconciler.pools({pool("p")});
  sync();
  ASSERT_FALSE(reconciler.pool_statuses().empty());
  reconciler.lead(false);
  EXPECT_TRUE(reconciler.pool_statuses().empty());
}

TEST_F(AwaitingPools, AnAddressPoolOfTheNameOfTheFlagsIsLeftOut) {
  reconciler.pools({pool(plan::kFlagsPool)});
  sync();
  EXPECT_EQ(reconciler.problems()["NoPool"], 1u);
}

TEST_F(ReconcilerTest, AnAddressThatRestsWaitsForADataPlaneThatIsLost) {
  for (int i = 0; i < 9; ++i) script.add(200, "{}");
  contact();
  sync({service("a"), service("b"), service("c")});
  ASSERT_EQ(reconciler.usage().assigned, 3u);
  reconciler.start();
  reconciler.some_lost(true);
  reconciler.remove("kubernetes/default/a");
  reconciler.upsert(service("new").source());
  run();
  ASSERT_EQ(reconciler.problems().count("DataPlaneLost"), 1u);
  EXPECT_EQ(reconciler.usage().quarantined, 1u);
  run(2500ms);  // its quarantine of a second is over, looked at each second
  EXPECT_EQ(reconciler.problems().count("DataPlaneLost"), 0u);
  EXPECT_EQ(reconciler.usage().assigned, 3u);
}

TEST_F(ReconcilerTest, WhoeverStandsByRemembersNoChangesAndPlansAllOnceItLeads) {
  reconciler.lead(false);
  for (int i = 0; i < 100; ++i) {
    const auto each = service("s" + std::to_string(i));
    reconciler.upsert(each.source());
    if (i > 1) reconciler.remove(each.key());
  }
  sync({service("s0"), service("s1")});
  EXPECT_EQ(reconciler.pending(), 0u);
  reconciler.lead(true);
  EXPECT_EQ(reconciler.pending(), 2u);
  contact();
  EXPECT_EQ(reconciler.usage().assigned, 2u);
  EXPECT_EQ(reconciler.pending(), 0u);
}

}  // namespace
}  // namespace lb::controller
