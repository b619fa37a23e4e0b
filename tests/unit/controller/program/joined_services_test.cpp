// Services of which a group's backends are another source's.
#include <gtest/gtest.h>

#include "tests/unit/controller/program/reconciler_fixture.hpp"

namespace lb::controller {
namespace {

using plan::service;

// A service of a file one of whose two groups has the backends of a Service.
plan::SourceService joined() {
  plan::SourceService out;
  out.key = "file/front";
  out.addresses = {plan::ip("127.0.0.1")};
  auto& port = out.ports.emplace_back();
  port.port = 80;
  port.groups = {{"cluster", 70, {}}, {"vms", 30, {}}};
  auto& backend = port.backends.emplace_back();
  backend.address = plan::ip("10.0.0.1");
  backend.port = 1;
  backend.group = "vms";
  out.joins = {{80, Protocol::kTcp, "cluster", "kubernetes/default/web", 0}};
  return out;
}

class JoinedTest : public ReconcilerTest {
 protected:
  JoinedTest() : ReconcilerTest({"kubernetes/", "file/"}) {
    dataplane.features = R"("protocol=tcp","ports.groups")";
  }
  void sync_web(const std::vector<std::string>& pods) {
    plan::SliceBuilder slice("web");
    slice.port("p80", 8080);
    for (const auto& pod : pods) slice.endpoint(pod);
    reconciler.upsert(service("web").type("ClusterIP").source({slice}));
    reconciler.synced("kubernetes/", {"kubernetes/default/web"});
    run();
  }
  void sync_file() {
    reconciler.upsert(joined());
    reconciler.synced("file/", {"file/front"});
    run();
  }
  // How many backends the data plane is to have.
  size_t backends() {
    const auto wanted = fleet.publication("file/front");
    return wanted ? wanted->service->ports[0].backends.size() : 0;
  }
  bool comes_to(size_t count) {
    for (int i = 0; i < 500 && backends() != count; ++i) run(10ms);
    return backends() == count;
  }
};

TEST_F(JoinedTest, AChangeOfTheGuestIsOneOfTheHost) {
  serve();
  sync_file();
  EXPECT_TRUE(comes_to(1)) << "a guest that is not there keeps nobody from being served";
  EXPECT_TRUE(reconciler.problems_of("file/front").empty()) << "its source was not heard yet";
  sync_web({"10.1.0.1", "10.1.0.2"});
  EXPECT_TRUE(comes_to(3));
  EXPECT_TRUE(reconciler.problems_of("file/front").empty());
  sync_web({"10.1.0.1"});
  EXPECT_TRUE(comes_to(2));
  reconciler.remove("kubernetes/default/web");
  EXPECT_TRUE(comes_to(1));
  EXPECT_EQ(reconciler.problems_of("file/front").size(), 1u);
}

// What was served before a restart: a backend of the file's own, and a pod.
DesiredState served_before() {
  auto before = joined();
  auto pod = before.ports[0].backends[0];
  pod.address = plan::ip("10.1.0.1");
  pod.group = "cluster";
  before.ports[0].backends.push_back(pod);
  DesiredState out{{1, 1}, {}};
  out.services.push_back({before.key, before.addresses, before.ports, {}});
  return out;
}

TEST_F(JoinedTest, WhatIsServedKeepsTheGuestsOfASourceThatIsAway) {
  dataplane.held = served_before();
  serve();
  run(200ms);
  sync_file();
  run(200ms);
  EXPECT_EQ(backends(), 2u) << "its clients would go to the other group";
  sync_web({"10.1.0.1", "10.1.0.2"});
  EXPECT_TRUE(comes_to(3));
}

TEST_F(JoinedTest, AnEditOfTheHostIsFollowedWhileTheSourceOfItsGuestsIsAway) {
  dataplane.held = served_before();
  serve();
  run(200ms);
  auto edited = joined();
  edited.ports[0].backends.push_back(edited.ports[0].backends[0]);
  edited.ports[0].backends.back().address = plan::ip("10.0.0.2");
  sync_file();
  reconciler.upsert(edited);
  EXPECT_TRUE(comes_to(3));
}

TEST_F(JoinedTest, NothingIsTakenFromAHostBeforeEveryDataPlaneWasHeard) {
  reconciler.unheard(true);
  contact();
  sync_file();
  EXPECT_EQ(reconciler.counters().plans, 0u) << "one that is not heard yet may know its guests";
  reconciler.unheard(false);
  run();
  EXPECT_EQ(reconciler.counters().plans, 1u);
}

}  // namespace
}  // namespace lb::controller
