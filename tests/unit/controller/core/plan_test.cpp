// One Service through its life: finalizer, address, publication, status, and back.
#include "controller/core/plan.hpp"

#include <gmock/gmock.h>

#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class PlanTest : public testing::Test {
 protected:
  void put(const ServiceBuilder& builder, std::vector<EndpointSliceObject> slices = {}) {
    world.services[builder.key()] = builder.source(slices);
  }
  ServicePlan plan(const ServiceBuilder& builder) {
    return plan_service(world, allocator, builder.key());
  }
  void acknowledge(const ServiceBuilder& builder) {
    const auto planned = plan(builder);
    if (!planned.desired) return;
    world.published[builder.key()] = {std::make_shared<const Service>(*planned.desired)};
  }
  static std::string condition(const ServicePlan& planned, const std::string& type) {
    if (!planned.patch) return "no patch";
    for (const auto& each : planned.patch->conditions) {
      if (each.type == type) return each.status + " " + each.reason;
    }
    return "none";
  }
  static std::vector<std::string> reasons(const ServicePlan& planned) {
    std::vector<std::string> out;
    for (const auto& event : planned.events) out.push_back(event.reason);
    return out;
  }

  World world;
  Allocator allocator{{pool("192.0.2.10-192.0.2.12")}};
};

TEST_F(PlanTest, MarksTheServiceBeforeAnythingElse) {
  auto web = service("web").unmarked();
  put(web);
  const auto out = plan(web);
  EXPECT_EQ(out.desired, std::nullopt);
  EXPECT_THAT(out.patch->add_finalizers, ElementsAre(kFinalizer, kStandardFinalizer));
  EXPECT_EQ(out.patch->ingress, std::nullopt);
  EXPECT_THAT(reasons(out), ElementsAre("EnsuringLoadBalancer"));
}

TEST_F(PlanTest, PublishesBeforeItWritesTheStatus) {
  put(service("web"));
  const auto out = plan(service("web"));
  ASSERT_TRUE(out.desired);
  EXPECT_THAT(out.desired->addresses, ElementsAre(ip("192.0.2.10")));
  EXPECT_EQ(out.patch, std::nullopt);
}

TEST_F(PlanTest, ACertificateInTroubleDegradesAServiceThatIsServed) {
  put(service("web"));
  auto& tls = world.services[service("web").key()].ports.at(0).tls;
  tls.mode = TlsMode::kTerminate;
  tls.certificates = {"kubernetes/default/web"};
  acknowledge(service("web"));
  world.certificate_troubles = {{"kubernetes/default/web", {"CertificateExpired", "long ago"}}};
  const auto out = plan(service("web"));
  EXPECT_EQ(condition(out, kDegraded), "True CertificateExpired");
  EXPECT_EQ(condition(out, kProgrammed), "True Programmed") << "the last good one is served";
  EXPECT_EQ(out.patch->ingress->at(0).ports.at(0).error, "");
}

TEST_F(PlanTest, WritesTheStatusOnceAcknowledged) {
  put(service("web"));
  acknowledge(service("web"));
  const auto out = plan(service("web"));
  ASSERT_TRUE(out.patch && out.patch->ingress);
  const Ingress wanted{"192.0.2.10", {}, "Proxy", {{80, "TCP", ""}}};
  EXPECT_THAT(*out.patch->ingress, ElementsAre(wanted));
  EXPECT_EQ(condition(out, kAccepted), "True Accepted");
  EXPECT_EQ(condition(out, kProgrammed), "True Programmed");
  EXPECT_EQ(condition(out, kDegraded), "False AsExpected");
  EXPECT_THAT(reasons(out), ElementsAre("EnsuredLoadBalancer"));
}

TEST_F(PlanTest, WaitsAgainWhenWhatIsAcknowledgedIsOld) {
  put(service("web"));
  acknowledge(service("web"));
  put(service("web"), {SliceBuilder("web").port("p80", 8080).endpoint("10.0.0.1")});
  EXPECT_EQ(plan(service("web")).patch, std::nullopt);
}

TEST_F(PlanTest, LeavesOthersServicesAlone) {
  for (auto other :
       {service("a").unclassed().unmarked(), service("b").classed("x/y").unmarked(),
        service("c").type("ClusterIP").unmarked(), service("d").type("NodePort").unmarked()}) {
    put(other);
    EXPECT_EQ(plan(other), ServicePlan{}) << other.key();
  }
}

TEST_F(PlanTest, TakesServicesWithoutAClassWhenToldTo) {
  world.settings.claim_unclassed = true;
  auto web = service("web").unclassed();
  put(web);
  EXPECT_TRUE(plan(web).desired);
}

TEST_F(PlanTest, TearsDownInReverse) {
  auto web = service("web").status("192.0.2.10");
  put(web);
  acknowledge(web);
  web.deleting();
  put(web);
  auto out = plan(web);
  EXPECT_EQ(out.desired, std::nullopt);
  EXPECT_EQ(out.patch, std::nullopt) << "the data plane still serves it";
  EXPECT_THAT(reasons(out), ElementsAre("DeletingLoadBalancer"));
  world.published.clear();
  out = plan(web);
  EXPECT_THAT(out.patch->remove_finalizers, ElementsAre(kFinalizer, kStandardFinalizer));
  EXPECT_THAT(*out.patch->ingress, IsEmpty());
  EXPECT_THAT(allocator.held(web.key()), IsEmpty());
}

TEST_F(PlanTest, ATypeChangeFreesTheServiceWithoutTouchingItsIngress) {
  auto web = service("web").type("ClusterIP");
  web.object().conditions = {{kAccepted, "True", "Accepted", "m", "t"},
                             {"theirs", "True", "R", "m", "t"}};
  put(web);
  const auto out = plan(web);
  EXPECT_THAT(out.patch->remove_finalizers, SizeIs(2));
  EXPECT_EQ(out.patch->ingress, std::nullopt);
  EXPECT_THAT(out.patch->remove_conditions, ElementsAre(kAccepted));
}

TEST_F(PlanTest, ALostDataPlaneDoesNotHoldUpADeletion) {
  auto web = service("web");
  put(web);
  acknowledge(web);
  web.deleting();
  put(web);
  auto& published = world.published.at(web.key());
  published.served = false;
  published.unreachable = true;
  const auto out = plan(web);
  EXPECT_THAT(out.patch->remove_finalizers, SizeIs(2));
  EXPECT_THAT(reasons(out), ElementsAre("DataPlaneUnreachable", "DeletedLoadBalancer"));
  EXPECT_THAT(allocator.quarantined(), ElementsAre(ip("192.0.2.10")));
}

TEST_F(PlanTest, AServiceIsNotReportedBeforeEnoughDataPlanesHaveIt) {
  auto web = service("web");
  put(web);
  acknowledge(web);
  world.published.at(web.key()).confirmed = false;
  EXPECT_EQ(plan(web).patch, std::nullopt);
  world.published.at(web.key()).confirmed = true;
  EXPECT_NE(plan(web).patch, std::nullopt);
}

TEST_F(PlanTest, SaysThatNoBackendIsFitAndThatOneIsAgain) {
  auto web = service("web");
  put(web);
  acknowledge(web);
  world.health[web.key()] = {3, 0, "10.0.0.1:80 is down (Refused)"};
  auto out = plan(web);
  EXPECT_EQ(condition(out, kDegraded), "True NoHealthyBackend");
  EXPECT_THAT(out.patch->conditions.back().message, HasSubstr("none of the 3 ready backends"));
  world.health[web.key()].usable = 1;
  EXPECT_EQ(condition(plan(web), kDegraded), "False AsExpected");
}

TEST_F(PlanTest, ExplainsAnExhaustedPool) {
  for (const char* name : {"a", "b", "c"}) {
    put(service(name));
    plan(service(name));
  }
  put(service("late"));
  const auto out = plan(service("late"));
  EXPECT_EQ(out.desired, std::nullopt);
  EXPECT_EQ(condition(out, kAccepted), "False PoolExhausted");
  ASSERT_THAT(out.events, SizeIs(1));
  EXPECT_EQ(out.events[0].reason, "SyncLoadBalancerFailed");
  EXPECT_TRUE(out.events[0].warning);
  EXPECT_THAT(out.events[0].message, HasSubstr("PoolExhausted"));
}

TEST_F(PlanTest, SaysARefusalOnce) {
  auto web = service("web").requests("203.0.113.1");
  put(web);
  const auto first = plan(web);
  EXPECT_EQ(condition(first, kAccepted), "False AddressNotInPool");
  apply(*first.patch, web.object());
  put(web);
  const auto second = plan(web);
  EXPECT_EQ(second.patch, std::nullopt);
  EXPECT_THAT(second.events, IsEmpty());
}

TEST_F(PlanTest, GivesARefusedPortItsError) {
  auto web = service("web").port(53, "SCTP");
  put(web);
  acknowledge(web);
  const auto out = plan(web);
  const Ingress wanted{
      "192.0.2.10", {}, "Proxy", {{53, "SCTP", "empalme.io/UnsupportedProtocol"}, {80, "TCP", ""}}};
  EXPECT_THAT(*out.patch->ingress, ElementsAre(wanted));
  EXPECT_EQ(condition(out, kPortsError), "True LoadBalancerMixedProtocolNotSupported");
  EXPECT_EQ(condition(out, kDegraded), "True UnsupportedProtocol");
}

TEST_F(PlanTest, GivesAPortThatCouldNotBeOpenedItsError) {
  auto web = service("web");
  put(web);
  acknowledge(web);
  world.failed[web.key()] = {
      {web.key(), ip("192.0.2.10"), 80, Protocol::kTcp, "", "PortTakenOnNode", "in use"}};
  const auto out = plan(web);
  EXPECT_EQ(out.patch->ingress->front().ports.front().error, "empalme.io/PortTakenOnNode");
  EXPECT_EQ(condition(out, kProgrammed), "False PortTakenOnNode");
}

TEST_F(PlanTest, MovesAwayFromAnAddressInUseThatNobodyKnowsYet) {
  auto web = service("web");
  put(web);
  acknowledge(web);
  world.failed[web.key()] = {
      {web.key(), ip("192.0.2.10"), 80, Protocol::kTcp, "", "AddressInUseOnNetwork", "used"}};
  const auto out = plan(web);
  EXPECT_THAT(out.desired->addresses, ElementsAre(ip("192.0.2.11")));
  EXPECT_EQ(out.patch, std::nullopt);
}

TEST_F(PlanTest, KeepsAnAddressInUseThatClientsKnow) {
  auto web = service("web").status("192.0.2.10");
  put(web);
  acknowledge(web);
  world.failed[web.key()] = {
      {web.key(), ip("192.0.2.10"), 80, Protocol::kTcp, "", "AddressInUseOnNetwork", "used"}};
  const auto out = plan(web);
  EXPECT_THAT(out.desired->addresses, ElementsAre(ip("192.0.2.10")));
  EXPECT_EQ(condition(out, kDegraded), "True AddressInUseOnNetwork");
}

TEST_F(PlanTest, LeavesOutWhatTheDataPlaneDoesNotUnderstand) {
  world.features = {"protocol=tcp"};
  auto web = service("web").affinity().port(53, "UDP");
  put(web);
  acknowledge(web);
  const auto out = plan(web);
  EXPECT_EQ(out.desired->policy.affinity_seconds, 0u);
  EXPECT_THAT(out.desired->ports, SizeIs(1));
  EXPECT_EQ(condition(out, kDegraded), "True UnsupportedByDataPlane");
}

TEST_F(PlanTest, DoesNotOpenToEverybodyWhatCannotBeRestricted) {
  world.features = {"protocol=tcp"};
  auto web = service("web").source_range("10.0.0.0/8");
  put(web);
  const auto out = plan(web);
  EXPECT_EQ(out.desired, std::nullopt);
  EXPECT_EQ(condition(out, kAccepted), "False UnsupportedByDataPlane");
}

TEST_F(PlanTest, KeepsServingWhileAFinalizerIsPutBack) {
  auto web = service("web");
  put(web);
  acknowledge(web);
  web.unmarked();
  put(web);
  const auto out = plan(web);
  EXPECT_TRUE(out.desired);
  EXPECT_THAT(out.patch->add_finalizers, SizeIs(2));
}

TEST_F(PlanTest, KeepsTheAddressOverPortEdits) {
  auto web = service("web");
  put(web);
  acknowledge(web);
  world.services[web.key()] = ServiceBuilder("web").port(8080).source();
  EXPECT_THAT(plan(web).desired->addresses, ElementsAre(ip("192.0.2.10")));
}

TEST_F(PlanTest, PublishesAFixedServiceAsItIs) {
  SourceService fixed;
  fixed.key = "file/web";
  fixed.addresses = {ip("127.0.0.1")};
  fixed.ports.emplace_back().port = 80;
  world.services[fixed.key] = fixed;
  const auto out = plan_service(world, allocator, fixed.key);
  EXPECT_THAT(out.desired->addresses, ElementsAre(ip("127.0.0.1")));
  EXPECT_EQ(out.patch, std::nullopt);
}

TEST_F(PlanTest, AVanishedServiceIsHeldUntilNothingServesIt) {
  auto web = service("web");
  put(web);
  acknowledge(web);
  world.services.clear();
  EXPECT_EQ(plan(web).desired, std::nullopt);
  EXPECT_THAT(allocator.held(web.key()), SizeIs(1));
  world.published.clear();
  plan(web);
  EXPECT_THAT(allocator.held(web.key()), IsEmpty());
}

TEST(ServicePatchJson, NamesOnlyWhatIsOurs) {
  ServicePatch patch;
  patch.uid = "u";
  patch.resource_version = "7";
  patch.remove_finalizers = {kFinalizer};
  patch.ingress.emplace();
  patch.remove_conditions = {kAccepted};
  EXPECT_EQ(encode_service_patch(patch, "now"),
            R"({"metadata":{"uid":"u","resourceVersion":"7",)"
            R"("$deleteFromPrimitiveList/finalizers":["empalme.io/service"]},)"
            R"("status":{"loadBalancer":{"ingress":null},)"
            R"("conditions":[{"type":"empalme.io/Accepted","$patch":"delete"}]}})");
}

TEST(ServicePatchJson, WritesIngressAndConditions) {
  ServicePatch patch;
  patch.add_finalizers = {kFinalizer};
  patch.ingress = {{"192.0.2.1", {}, "Proxy", {{80, "TCP", "empalme.io/X"}}}};
  patch.conditions = {{kAccepted, "True", "Accepted", "fine", {}}};
  const auto text = encode_service_patch(patch, "now");
  EXPECT_THAT(text, HasSubstr(R"("finalizers":["empalme.io/service"])"));
  EXPECT_THAT(text, HasSubstr(R"({"ip":"192.0.2.1","ipMode":"Proxy","ports":[{"port":80,)"
                              R"("protocol":"TCP","error":"empalme.io/X"}]})"));
  EXPECT_THAT(text, HasSubstr(R"("lastTransitionTime":"now")"));
}

TEST_F(PlanTest, LeavesAServiceOfAnotherClassToItsOwnController) {
  world.settings.load_balancer_class = "example.com/b";
  world.settings.finalizer = finalizer_of("example.com/b");
  put(service("web").status("192.0.2.10"));
  const auto out = plan(service("web"));
  EXPECT_EQ(out.patch, std::nullopt) << "its finalizer is that of another controller of ours";
  EXPECT_THAT(out.events, IsEmpty());
}

TEST_F(PlanTest, TheOtherControllersFinalizerStaysAtDeletionToo) {
  world.settings.finalizer = finalizer_of("example.com/b");
  put(service("web").deleting());
  EXPECT_EQ(plan(service("web").deleting()).patch, std::nullopt);
}

TEST(Finalizer, IsPlainForTheDefaultClass) { EXPECT_EQ(finalizer_of(kDefaultClass), kFinalizer); }

TEST(Finalizer, IsAValidNameForAnyClass) {
  const std::string name = finalizer_of("example.com/" + std::string(63, 'x'));
  const auto slash = name.find('/');
  EXPECT_EQ(name.find('/', slash + 1), std::string::npos);
  EXPECT_LE(name.size() - slash - 1, 63u);
  EXPECT_TRUE(is_our_finalizer(name));
}

TEST(Finalizer, TellsLongClassesApart) {
  const std::string common(60, 'x');
  EXPECT_NE(finalizer_of("example.com/" + common + "1"),
            finalizer_of("example.com/" + common + "2"));
}

TEST(Finalizer, ThatOfSomebodyElseIsNotOurs) {
  EXPECT_FALSE(is_our_finalizer(kStandardFinalizer));
  EXPECT_FALSE(is_our_finalizer("empalme.io/services"));
}

TEST_F(PlanTest, AServiceOfWhichNoPortCanBeServedIsRefused) {
  world.features = {"protocol=tcp"};
  auto dns = ServiceBuilder("dns").port(53, "UDP");
  put(dns);
  const auto out = plan(dns);
  EXPECT_EQ(out.desired, std::nullopt);
  ASSERT_TRUE(out.patch);
  EXPECT_THAT(condition(out, kAccepted), HasSubstr("False"));
  EXPECT_THAT(condition(out, kProgrammed), HasSubstr("False"));
}

}  // namespace
}  // namespace lb::plan
