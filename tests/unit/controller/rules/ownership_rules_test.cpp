// Rules 1 to 14: whose Service it is, and what is written to it.

#include "common/model/json.hpp"
#include "tests/unit/controller/rules/rules_fixture.hpp"

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct OwnershipRow {
  const char* what;
  ServiceBuilder service;
  bool claim_unclassed;
  bool ours;
};

TEST_F(Rules, R01_OwnsLoadBalancersOfItsClassAndUnclassedOnesOnlyWhenTold) {
  const OwnershipRow rows[] = {
      {"our class", service("a"), false, true},
      {"another class", service("a").classed("other.io/lb"), true, false},
      {"no class", service("a").unclassed(), false, false},
      {"no class, and told to", service("a").unclassed(), true, true},
      {"no load balancer", service("a").type("ClusterIP"), true, false},
      {"an empty class", service("a").classed(""), false, false},
  };
  for (const auto& row : rows) {
    world.settings.claim_unclassed = row.claim_unclassed;
    EXPECT_EQ(owned(*row.service.source().kube, world.settings), row.ours) << row.what;
  }
}

TEST_F(Rules, R02_CleansUpWhatItMarkedAndNoLongerOwnsFromTheFirstSight) {
  for (auto former : {service("a").type("ClusterIP"), service("b").deleting()}) {
    put(former);
    const auto planned = plan(former);
    ASSERT_TRUE(planned.patch);
    EXPECT_THAT(planned.patch->remove_finalizers, ElementsAre(kFinalizer, kStandardFinalizer));
  }
  auto stranger = service("c").unmarked().classed("other.io/lb").status("192.0.2.10");
  stranger.object().meta.finalizers = {kStandardFinalizer};
  put(stranger);
  EXPECT_FALSE(plan(stranger).patch);
}

TEST_F(Rules, R03_MarksThenPublishesThenWritesTheStatusAndTakesDownInReverse) {
  auto web = service("web").unmarked();
  put(web);
  auto now = plan(web);
  EXPECT_FALSE(now.desired) << "published before it is marked";
  EXPECT_THAT(now.patch->add_finalizers, ElementsAre(kFinalizer, kStandardFinalizer));
  apply(*now.patch, web.object());
  put(web);
  now = plan(web);
  EXPECT_TRUE(now.desired);
  EXPECT_FALSE(now.patch) << "a status before the data plane has confirmed";
  publish(web);
  now = plan(web);
  EXPECT_TRUE(now.patch->ingress);
  apply(*now.patch, web.object());
  web.deleting();
  put(web);
  now = plan(web);
  EXPECT_FALSE(now.desired);
  EXPECT_FALSE(now.patch) << "the finalizer comes off while it is still served";
  world.published.clear();
  EXPECT_THAT(plan(web).patch->remove_finalizers, Not(IsEmpty()));
}

TEST_F(Rules, R04_AnotherUidUnderTheSameNameIsMarkedAndWrittenAnew) {
  auto first = service("web");
  settle(first);
  auto second = service("web").unmarked();
  second.object().meta.uid = "another";
  put(second);
  const auto planned = plan(second);
  ASSERT_TRUE(planned.patch);
  EXPECT_EQ(planned.patch->uid, "another");
  EXPECT_THAT(planned.patch->add_finalizers, Not(IsEmpty()));
  settle(second);
  EXPECT_FALSE(address(second).empty());
}

TEST_F(Rules, R05_EveryFieldThatMattersChangesWhatTheSourceEmits) {
  const auto base = service("web").annotated("x", "y").families({"IPv4"});
  using Edit = void (*)(ServiceObject&);
  const std::pair<const char*, Edit> rows[] = {
      {"type", [](ServiceObject& s) { s.type = "NodePort"; }},
      {"class", [](ServiceObject& s) { s.load_balancer_class = "other.io/x"; }},
      {"source ranges", [](ServiceObject& s) { s.source_ranges = {"10.0.0.0/8"}; }},
      {"port", [](ServiceObject& s) { s.ports[0].port = 81; }},
      {"port name", [](ServiceObject& s) { s.ports[0].name = "other"; }},
      {"protocol", [](ServiceObject& s) { s.ports[0].protocol = "UDP"; }},
      {"affinity", [](ServiceObject& s) { s.session_affinity = "ClientIP"; }},
      {"load balancer IP", [](ServiceObject& s) { s.load_balancer_ip = "192.0.2.11"; }},
      {"annotation", [](ServiceObject& s) { s.meta.annotations["empalme.io/drain-s"] = "3"; }},
      {"uid", [](ServiceObject& s) { s.meta.uid = "u2"; }},
      {"traffic policy", [](ServiceObject& s) { s.external_traffic_policy = "Local"; }},
      {"traffic distribution", [](ServiceObject& s) { s.traffic_distribution = "PreferClose"; }},
      {"families", [](ServiceObject& s) { s.ip_families.push_back("IPv6"); }},
      {"family policy", [](ServiceObject& s) { s.ip_family_policy = "RequireDualStack"; }},
  };
  for (const auto& [what, change] : rows) {
    auto edited = base;
    change(edited.object());
    EXPECT_FALSE(edited.source() == base.source()) << what;
  }
}

TEST_F(Rules, R06_TheAddressOutlivesEditsAndMovesOnlyOnRequest) {
  auto web = service("web");
  settle(web);
  const std::string before = address(web);
  web.object().ports[0].port = 8081;
  web.object().ports[0].node_port = 31000;
  web.object().external_traffic_policy = "Local";
  web.affinity();
  settle(web);
  EXPECT_EQ(address(web), before);
  web.requests("192.0.2.13");
  settle(web);
  EXPECT_EQ(address(web), "192.0.2.13");
}

TEST_F(Rules, R07_NoAddressesAreWrittenToWhatIsNoLoadBalancerAnyMore) {
  auto web = service("web").status("192.0.2.10").type("ClusterIP");
  put(web);
  const auto planned = plan(web);
  ASSERT_TRUE(planned.patch);
  EXPECT_FALSE(planned.patch->ingress);
  EXPECT_THAT(planned.patch->remove_finalizers, Not(IsEmpty()));
}

TEST_F(Rules, R08_APatchHoldsFinalizersAndStatusAndNothingElse) {
  auto web = service("web").unmarked();
  put(web);
  const auto body = nlohmann::json::parse(encode_service_patch(*plan(web).patch, "now"));
  EXPECT_THAT(body.dump(), Not(HasSubstr("spec")));
  for (const auto& [name, value] : body.items()) {
    EXPECT_TRUE(name == "metadata" || name == "status") << name;
  }
}

TEST_F(Rules, R09_WritesNothingWhenTheStatusSaysItAndLeavesOthersConditionsAlone) {
  auto web = service("web");
  web.object().conditions.push_back({"others/Ready", "True", "Fine", "", ""});
  settle(web);
  EXPECT_FALSE(plan(web).patch);
  web.deleting();
  put(web);
  world.published.clear();
  const auto planned = plan(web);
  for (const auto& type : planned.patch->remove_conditions) EXPECT_NE(type, "others/Ready");
}

TEST_F(Rules, R10_EveryWriteNamesTheVersionAndUidItWasPlannedOn) {
  auto web = service("web").unmarked();
  web.object().meta.resource_version = "77";
  put(web);
  const auto body = nlohmann::json::parse(encode_service_patch(*plan(web).patch, "now"));
  EXPECT_EQ(body["metadata"]["resourceVersion"], "77");
  EXPECT_EQ(body["metadata"]["uid"], "uid-web");
}

TEST_F(Rules, R11_TheStatusListsAnAddressPerFamilyAndEveryPortWithItsError) {
  auto web = service("web").families({"IPv6", "IPv4"}, "RequireDualStack").port(99, "SCTP");
  put(web);
  publish(web);
  const auto planned = plan(web);
  ASSERT_TRUE(planned.patch && planned.patch->ingress);
  const auto& list = *planned.patch->ingress;
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].ip, "2001:db8::10") << "in the order of spec.ipFamilies";
  for (const auto& each : list) {
    EXPECT_EQ(each.ip_mode, "Proxy");
    ASSERT_EQ(each.ports.size(), 2u);
    EXPECT_EQ(each.ports[0].error, "");
    EXPECT_EQ(each.ports[1].error, "empalme.io/UnsupportedProtocol");
  }
  const Condition* error = condition(planned, kPortsError);
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(error->reason, "LoadBalancerMixedProtocolNotSupported");
}

TEST_F(Rules, R12_ThreeConditionsUnderItsDomainTellHowAServiceFares) {
  auto web = service("web");
  put(web);
  publish(web);
  const auto planned = plan(web);
  EXPECT_EQ(condition(planned, kAccepted)->status, "True");
  EXPECT_EQ(condition(planned, kProgrammed)->status, "True");
  EXPECT_EQ(condition(planned, kDegraded)->status, "False");
}

TEST_F(Rules, R13_EventsCarryTheNamesThatToolsKnow) {
  auto web = service("web").unmarked();
  put(web);
  EXPECT_TRUE(event(plan(web), "EnsuringLoadBalancer"));
  web.object().meta.finalizers = {kFinalizer, kStandardFinalizer};
  put(web);
  publish(web);
  EXPECT_TRUE(event(plan(web), "EnsuredLoadBalancer"));
  web.deleting();
  put(web);
  EXPECT_TRUE(event(plan(web), "DeletingLoadBalancer"));
  world.published.clear();
  EXPECT_TRUE(event(plan(web), "DeletedLoadBalancer"));
  auto refused = service("far").requests("203.0.113.1");
  put(refused);
  EXPECT_TRUE(event(plan(refused), "SyncLoadBalancerFailed"));
}

}  // namespace
}  // namespace lb::plan
