// Rules 21 to 27: how EndpointSlices become backends.
#include "tests/unit/controller/rules/rules_fixture.hpp"

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using SliceRules = Rules;

TEST_F(SliceRules, R21_JoinsByLabelAndNamespaceAndTakesPortsFromTheSlice) {
  EndpointSliceObject first = SliceBuilder("web", "one").port("p80", 8080).endpoint("10.0.0.1");
  EndpointSliceObject other_port =
      SliceBuilder("web", "two").port("p80", 9090).endpoint("10.0.0.2");
  EndpointSliceObject unnamed = SliceBuilder("web", "three").port({}, 8080).endpoint("10.0.0.3");
  EndpointSliceObject zero = SliceBuilder("web", "four").port("p80", 0).endpoint("10.0.0.4");
  EndpointSliceObject elsewhere = first, stranger = first, names = first, wrong_family = first;
  elsewhere.meta.ns = "other";
  elsewhere.endpoints[0].addresses = {"10.0.0.5"};
  stranger.meta.labels["kubernetes.io/service-name"] = "else";
  stranger.endpoints[0].addresses = {"10.0.0.6"};
  names.address_type = "FQDN";
  names.endpoints[0].addresses = {"pod.example"};
  wrong_family.endpoints[0].addresses = {"2001:db8::1"};
  first.endpoints[0].addresses.push_back("10.0.0.7");  // only the first address counts
  put(service("web"), {first, other_port, unnamed, zero, elsewhere, stranger, names, wrong_family});
  EXPECT_THAT(states(plan(service("web"))),
              ElementsAre("10.0.0.1:8080 ready", "10.0.0.2:9090 ready"));
}

TEST_F(SliceRules, R22_WhatIsNotSaidOfAnEndpoint) {
  const std::optional<bool> nil, yes = true, no = false;
  const std::tuple<std::optional<bool>, std::optional<bool>, std::optional<bool>, BackendState>
      rows[] = {{nil, nil, nil, BackendState::kReady},   {yes, nil, nil, BackendState::kReady},
                {no, nil, nil, BackendState::kNotReady}, {no, nil, yes, BackendState::kNotReady},
                {no, yes, yes, BackendState::kDraining}, {no, yes, nil, BackendState::kNotReady},
                {nil, no, nil, BackendState::kReady},    {no, no, yes, BackendState::kNotReady}};
  for (const auto& [ready, serving, terminating, state] : rows) {
    SliceEndpoint endpoint;
    endpoint.ready = ready;
    endpoint.serving = serving;
    endpoint.terminating = terminating;
    EXPECT_EQ(state_of(endpoint), state);
  }
}

TEST_F(SliceRules, R23_OfTwoWithOneAddressTheOneThatLivesOn) {
  EndpointSliceObject old_pod =
      SliceBuilder("web", "old").port("p80", 8080).endpoint("10.0.0.1", false, true, true);
  EndpointSliceObject new_pod =
      SliceBuilder("web", "new").port("p80", 8080).endpoint("10.0.0.1", true, true, false);
  for (const auto& order : {std::vector{old_pod, new_pod}, std::vector{new_pod, old_pod}}) {
    put(service("web"), order);
    EXPECT_THAT(states(plan(service("web"))), ElementsAre("10.0.0.1:8080 ready"));
  }
}

TEST_F(SliceRules, R24_TerminatingOnesThatServeAreToldApartFromThoseThatDoNot) {
  put(service("web"), {SliceBuilder("web")
                           .port("p80", 8080)
                           .endpoint("10.0.0.1", true)
                           .endpoint("10.0.0.2", false, true, true)
                           .endpoint("10.0.0.3", false, false, true)});
  EXPECT_THAT(
      states(plan(service("web"))),
      ElementsAre("10.0.0.1:8080 ready", "10.0.0.2:8080 draining", "10.0.0.3:8080 not ready"));
}

TEST_F(SliceRules, R24_NoEndpointLeavesAPortThatRefuses) {
  put(service("web"));
  const auto planned = plan(service("web"));
  ASSERT_TRUE(planned.desired);
  EXPECT_THAT(planned.desired->ports[0].backends, IsEmpty());
  EXPECT_EQ(planned.desired->ports[0].policy.when_empty, WhenEmpty::kReset);
}

std::vector<std::string> zones(const ServicePlan& plan) {
  std::vector<std::string> out;
  for (const auto& backend : plan.desired->ports[0].backends) out.push_back(backend.zone);
  return out;
}

SliceBuilder two_zones(std::vector<std::string> hints_of_a, std::vector<std::string> hints_of_b) {
  SliceBuilder out("web");
  out.port("p80", 8080).endpoint("10.0.0.1").in_zone("a", std::move(hints_of_a));
  out.endpoint("10.0.0.2").in_zone("b", std::move(hints_of_b));
  return out;
}

TEST_F(SliceRules, R26_ATrafficDistributionPrefersTheZoneOfTheDataPlane) {
  for (const char* asked : {"PreferClose", "PreferSameZone"}) {
    auto web = service("web").distributed(asked);
    put(web, {two_zones({}, {})});
    const auto planned = plan(web);
    EXPECT_TRUE(planned.desired->ports[0].policy.prefer_zone) << asked;
    EXPECT_THAT(zones(planned), ElementsAre("a", "b"));
    EXPECT_THAT(planned.problems, IsEmpty()) << asked;
  }
  auto web = service("web");
  put(web, {two_zones({}, {})});
  EXPECT_FALSE(plan(web).desired->ports[0].policy.prefer_zone) << "nobody asked";
}

TEST_F(SliceRules, R26_HintsCountOnlyWhereEveryReadyEndpointHasOne) {
  auto web = service("web").distributed("PreferClose");
  put(web, {two_zones({"c"}, {"a", "b"})});
  EXPECT_THAT(zones(plan(web)), ElementsAre("c", "b")) << "its own where it is among them";
  put(web, {two_zones({"c"}, {})});
  EXPECT_THAT(zones(plan(web)), ElementsAre("a", "b"));
  EndpointSliceObject leaving = two_zones({"c"}, {});
  leaving.endpoints[1].ready = false;
  put(web, {leaving});
  EXPECT_THAT(zones(plan(web)), ElementsAre("c", "b"))
      << "one that is not ready counts for nothing";
}

TEST_F(SliceRules, R26_WhatCannotBeKeptOrIsNotKnownIsSaid) {
  for (const char* asked : {"PreferSameNode", "PreferTheMoon"}) {
    auto web = service("web").distributed(asked);
    put(web, {two_zones({}, {})});
    const auto planned = plan(web);
    ASSERT_TRUE(planned.desired) << asked;
    ASSERT_EQ(planned.problems.size(), 1u) << asked;
    EXPECT_EQ(planned.problems[0].reason, "TrafficDistributionNotKept") << asked;
    EXPECT_EQ(planned.desired->ports[0].policy.prefer_zone, asked == std::string("PreferSameNode"));
  }
}

TEST_F(SliceRules, R26_AnAnnotationThatForbidsItContradictsIt) {
  auto web = service("web").distributed("PreferClose").annotated("empalme.io/prefer-zone", "false");
  put(web, {two_zones({}, {})});
  EXPECT_FALSE(plan(web).desired);
  ASSERT_EQ(plan(web).problems.size(), 1u);
  EXPECT_EQ(plan(web).problems[0].reason, "InvalidRequest");
  web.annotated("empalme.io/prefer-zone", "true");
  put(web, {two_zones({}, {})});
  EXPECT_TRUE(plan(web).desired);
}

TEST_F(SliceRules, R27_AnEndpointThatIsPublishedNotReadyComesAsReady) {
  auto web = service("web");
  put(web, {SliceBuilder("web").port("p80", 8080).endpoint("10.0.0.1", true, false, true)});
  EXPECT_THAT(states(plan(web)), ElementsAre("10.0.0.1:8080 ready"));
}

}  // namespace
}  // namespace lb::plan
