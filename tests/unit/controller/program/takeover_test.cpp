// A new leader that knows nothing yet, over two data planes of which one lags or is cut off.
#include <gmock/gmock.h>

#include "controller/reconciler.hpp"
#include "tests/unit/controller/core/builders.hpp"
#include "tests/unit/controller/kube/scripted_client.hpp"
#include "tests/unit/controller/program/fake_dataplane.hpp"

namespace lb::controller {
namespace {

using namespace std::chrono_literals;
using plan::ip;
using plan::ServiceBuilder;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr char kNotHeard[] = "DataPlaneNotHeard";

class TakeoverTest : public testing::Test {
 protected:
  TakeoverTest() {
    reconciler.set_fleet(fleet);
    for (int i = 0; i < 20; ++i) script.add(200, "{}");
    writer.start();
  }
  ~TakeoverTest() override { writer.stop(); }

  static Reconciler::Options options() {
    Reconciler::Options out;
    out.pools = {plan::pool("192.0.2.10-192.0.2.12")};
    out.sources = {"kubernetes/"};
    return out;
  }
  void sync(const std::vector<ServiceBuilder>& all) {
    std::set<std::string> keys;
    for (const auto& each : all) {
      reconciler.upsert(each.source());
      keys.insert(each.key());
    }
    reconciler.synced("kubernetes/", keys);
  }
  static void serves(FakeDataplane& plane, const ServiceBuilder& builder, const char* address) {
    plane.held.version = {5, 1};
    plane.held.services.share_back(
        std::make_shared<const Service>(service(builder.key(), address)));
  }
  static ServiceBuilder gone() { return plan::service("gone").status("192.0.2.10").deleting(); }
  void lags(FakeDataplane& plane) { plane.instead.assign(50, net::json_response(503, "{}")); }
  void lead_both() {
    fleet.list({{"one", first.address()}, {"two", second.address()}});
    fleet.start(7);
  }
  void lead_with_one_cut_off() {
    fleet.list({{"one", first.address()}, {"two", net::SocketAddress{net::UnixPath{"/none/x"}}}});
    fleet.start(7);
  }
  void run(std::chrono::milliseconds time = 200ms) {
    io.restart();
    io.run_for(time);
  }
  bool until(const std::function<bool()>& holds) { return run_until(io, holds); }
  std::vector<IpAddress> held(const ServiceBuilder& builder) const {
    return reconciler.allocator().held(builder.key());
  }
  uint64_t waiting() const {
    const auto problems = reconciler.problems();
    const auto found = problems.find(kNotHeard);
    return found == problems.end() ? 0 : found->second;
  }
  int patches() {
    int out = 0;
    for (const auto& request : script.asked()) out += request.method == "PATCH";
    return out;
  }
  bool frees(const ServiceBuilder& builder) {
    for (const auto& request : script.asked()) {
      const bool of_it = request.target.find(builder.object().meta.name) != std::string::npos;
      if (of_it && request.body.find("deleteFromPrimitiveList") != std::string::npos) return true;
    }
    return false;
  }

  asio::io_context io;
  kube::Script script;
  kube::ApiWriter writer{
      {[this] { return std::make_unique<kube::ScriptedClient>(script); }, [] {}, 100}};
  Reconciler reconciler{io, options(), &writer};
  FakeDataplane first{io}, second{io};
  Fleet fleet{io, {.coalesce = 5ms, .poll = 1s, .silent_after = 1s, .lost_after = 2s}, reconciler};
};

TEST_F(TakeoverTest, ATeardownWaitsForTheDataPlaneThatIsCutOffAndQuarantinesInTheEnd) {
  sync({gone()});
  lead_with_one_cut_off();
  run();
  EXPECT_EQ(patches(), 0);
  EXPECT_EQ(waiting(), 1u);
  ASSERT_TRUE(until([&] { return frees(gone()); })) << "not for ever";
  EXPECT_THAT(reconciler.allocator().quarantined(), ElementsAre(ip("192.0.2.10")));
  EXPECT_EQ(waiting(), 0u);
}

TEST_F(TakeoverTest, NobodyGetsAnAddressWhileOneIsCutOff) {
  const auto young = plan::service("young");
  sync({gone(), young});
  lead_with_one_cut_off();
  run();
  EXPECT_THAT(held(young), IsEmpty());
  EXPECT_EQ(patches(), 0) << "nor does a status say that it will not";
  EXPECT_EQ(waiting(), 2u);
  ASSERT_TRUE(until([&] { return !held(young).empty(); }));
  EXPECT_THAT(held(young), ElementsAre(ip("192.0.2.11"))) << "not the one that may be served";
}

TEST_F(TakeoverTest, WhoHasAnAddressGoesOnWhileOneIsCutOff) {
  const auto web = plan::service("web").status("192.0.2.11");
  sync({web});
  lead_with_one_cut_off();
  ASSERT_TRUE(until([&] { return first.held.services.size() == 1; }));
  EXPECT_THAT(first.held.services[0].addresses, ElementsAre(ip("192.0.2.11")));
  EXPECT_EQ(waiting(), 0u);
}

TEST_F(TakeoverTest, AServiceOutsideThePoolsIsNotMovedBeforeAllAreHeard) {
  const auto kept = plan::service("kept").status("198.51.100.7");
  serves(second, kept, "198.51.100.7");
  sync({kept});
  lead_with_one_cut_off();
  run();
  EXPECT_EQ(patches(), 0);
  EXPECT_THAT(first.held.services, IsEmpty());
  fleet.list({{"one", first.address()}, {"two", second.address()}});
  ASSERT_TRUE(until([&] { return first.held.services.size() == 1; }));
  EXPECT_THAT(held(kept), ElementsAre(ip("198.51.100.7")));
}

TEST_F(TakeoverTest, ADeletionWhileOneIsCutOffGivesNothingAway) {
  const auto web = plan::service("web").status("192.0.2.10");
  sync({web});
  lead_with_one_cut_off();
  ASSERT_TRUE(until([&] { return !held(web).empty(); }));
  reconciler.remove(web.key());
  run();
  EXPECT_THAT(held(web), ElementsAre(ip("192.0.2.10")));
  ASSERT_TRUE(until([&] { return held(web).empty(); }));
  EXPECT_THAT(reconciler.allocator().quarantined(), ElementsAre(ip("192.0.2.10")));
}

TEST_F(TakeoverTest, WhatALaggingDataPlaneServesIsNobodyElses) {
  const auto young = plan::service("young");
  serves(first, gone(), "192.0.2.10");
  serves(second, gone(), "192.0.2.10");
  lags(second);
  sync({gone(), young});
  lead_both();
  ASSERT_TRUE(until([&] { return !held(young).empty(); }));
  EXPECT_THAT(held(young), ElementsAre(ip("192.0.2.11")));
  EXPECT_THAT(held(gone()), ElementsAre(ip("192.0.2.10")));
  second.instead.clear();
  ASSERT_TRUE(until([&] { return frees(gone()); }));
  EXPECT_THAT(reconciler.allocator().quarantined(), ElementsAre(ip("192.0.2.10")));
}

TEST_F(TakeoverTest, WhatIsServedOfAnObjectThatIsGoneIsNobodyElses) {
  const auto young = plan::service("young");
  serves(first, plan::service("lost"), "192.0.2.10");
  serves(second, plan::service("lost"), "192.0.2.10");
  lags(second);
  sync({young});
  lead_both();
  ASSERT_TRUE(until([&] { return !held(young).empty(); }));
  EXPECT_THAT(held(young), ElementsAre(ip("192.0.2.11")));
}

TEST_F(TakeoverTest, WhatTheLastOneHeardServesComesBeforeNewWishes) {
  const auto young = plan::service("a-young"), old = plan::service("z-old");
  serves(second, old, "192.0.2.10");
  sync({young, old});
  lead_with_one_cut_off();
  run();
  fleet.list({{"one", first.address()}, {"two", second.address()}});
  ASSERT_TRUE(until([&] { return !held(young).empty() && !held(old).empty(); }));
  EXPECT_THAT(held(old), ElementsAre(ip("192.0.2.10"))) << "served, but not yet in its status";
  EXPECT_THAT(held(young), ElementsAre(ip("192.0.2.11")));
}

TEST_F(TakeoverTest, ARestartInTheMiddleOfATeardownStillQuarantines) {
  sync({gone()});
  fleet.list({{"one", first.address()}});
  fleet.start(7);
  ASSERT_TRUE(until([&] { return frees(gone()); }));
  EXPECT_THAT(reconciler.allocator().quarantined(), Contains(ip("192.0.2.10")));
}

TEST_F(TakeoverTest, TheVerdictOfADataPlaneThatIsNoLongerThereIsForgotten) {
  const auto web = plan::service("web").status("192.0.2.10");
  second.services =
      R"({"key":"kubernetes/default/web","ports":[{"port":80,"backends":[)"
      R"({"backend":"10.0.0.1:80","state":"ready","health":"down","reason":"Refused"}]}]})";
  sync({web});
  lead_both();
  const auto known = [&] { return reconciler.world().health.contains(web.key()); };
  ASSERT_TRUE(until(known));
  fleet.list({{"one", first.address()}});
  EXPECT_FALSE(known());
}

}  // namespace
}  // namespace lb::controller
