// Services joined with their slices, and how Kubernetes' fields become a service of ours.
#include "controller/core/backends.hpp"

#include <gmock/gmock.h>

#include "controller/core/annotations.hpp"
#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<std::string> backends(const ServiceBuilder& service,
                                  std::vector<EndpointSliceObject> slices) {
  std::vector<std::string> out;
  const JoinedPorts joined = join(service.object(), slices);
  for (const auto& backend : joined.ports.at(0).backends) {
    out.push_back(backend.endpoint().to_string() + " " + to_string(backend.state));
  }
  return out;
}

TEST(Backends, TakesThePortNumberFromTheSlice) {
  EXPECT_THAT(
      backends(service("web"), {SliceBuilder("web", "a").port("p80", 8080).endpoint("10.0.0.1"),
                                SliceBuilder("web", "b").port("p80", 9090).endpoint("10.0.0.2")}),
      ElementsAre("10.0.0.1:8080 ready", "10.0.0.2:9090 ready"));
}

TEST(Backends, PassesOverOtherServicesAndOtherPorts) {
  EXPECT_THAT(
      backends(service("web"), {SliceBuilder("other").port("p80", 8080).endpoint("10.0.0.1"),
                                SliceBuilder("web").port("metrics", 8080).endpoint("10.0.0.2"),
                                SliceBuilder("web").port(std::nullopt, 8080).endpoint("10.0.0.3")}),
      IsEmpty());
}

TEST(Backends, ReadsTheConditionsAsKubeProxyDoes) {
  using Flag = std::optional<bool>;
  const auto state = [](Flag ready, Flag serving, Flag terminating) {
    SliceEndpoint endpoint;
    endpoint.ready = ready;
    endpoint.serving = serving;
    endpoint.terminating = terminating;
    return state_of(endpoint);
  };
  EXPECT_EQ(state({}, {}, {}), BackendState::kReady);
  EXPECT_EQ(state(true, true, false), BackendState::kReady);
  EXPECT_EQ(state(false, true, true), BackendState::kDraining);
  EXPECT_EQ(state(false, false, true), BackendState::kNotReady);
  EXPECT_EQ(state(false, true, false), BackendState::kNotReady);
  EXPECT_EQ(state(false, {}, {}), BackendState::kNotReady);
}

TEST(Backends, PrefersTheLivingPodOnAReusedAddress) {
  EXPECT_THAT(
      backends(service("web"),
               {SliceBuilder("web", "a").port("p80", 80).endpoint("10.0.0.1", false, true, true),
                SliceBuilder("web", "b").port("p80", 80).endpoint("10.0.0.1", true)}),
      ElementsAre("10.0.0.1:80 ready"));
}

TEST(Backends, TheOrderOfSlicesDoesNotMatter) {
  const EndpointSliceObject a = SliceBuilder("web", "a").port("p80", 80).endpoint("10.0.0.1", true);
  const EndpointSliceObject b =
      SliceBuilder("web", "b").port("p80", 80).endpoint("10.0.0.1", false, true, true);
  EXPECT_EQ(join(service("web").object(), {a, b}), join(service("web").object(), {b, a}));
}

TEST(Backends, RefusesAddressesThatLeadBackToTheNode) {
  const auto joined =
      join(service("web").object(), {SliceBuilder("web").port("p80", 80).endpoint("127.0.0.1")});
  EXPECT_THAT(joined.ports.at(0).backends, IsEmpty());
  ASSERT_THAT(joined.problems, SizeIs(1));
  EXPECT_EQ(joined.problems[0].reason, "AddressRefused");
}

TEST(Backends, SkipsAnAddressOfAnotherFamilyThanItsSlice) {
  EXPECT_THAT(
      backends(service("web"), {SliceBuilder("web").port("p80", 80).endpoint("2001:db8::1"),
                                SliceBuilder("web").v6().port("p80", 80).endpoint("2001:db8::2")}),
      ElementsAre("[2001:db8::2]:80 ready"));
}

// One namespace's slice must never make a document that the data plane refuses as a whole.
TEST(Backends, CutsNamesThatWhoeverWritesSlicesMayChooseFreely) {
  EndpointSliceObject slice = SliceBuilder("web").port("p80", 8080).endpoint("10.0.0.1");
  auto& endpoint = slice.endpoints.front();
  endpoint.target_name = endpoint.node_name = endpoint.zone = std::string(252, 'x') + "\u00e9";
  const auto joined = join(service("web").object(), {slice});
  const auto& backend = joined.ports.at(0).backends.at(0);
  for (const auto& name : {backend.name, backend.node, backend.zone}) {
    EXPECT_EQ(name, std::string(252, 'x'));
  }
}

TEST(Backends, APortWithoutANumberAndASecondOneOfTheSameAreLeftOutWithAReason) {
  const auto joined = join(service("web").port(80).port(0).port(80, "UDP").object(), {});
  EXPECT_THAT(joined.ports, SizeIs(2));
  EXPECT_THAT(joined.problems, SizeIs(2));
}

TEST(DecodeObjects, RefusesNamesThatCannotStandInAKey) {
  for (const char* name : {"a/b", "a b", "a\\n", "\u00e9"}) {
    const auto object = decode_service(std::string(R"({"metadata":{"name":")") + name + "\"}}");
    ASSERT_FALSE(object.ok()) << name;
    EXPECT_EQ(object.error().pointer, "/metadata/name");
  }
  EXPECT_FALSE(decode_service(R"({"metadata":{"name":")" + std::string(254, 'a') + "\"}}").ok());
}

TEST(FromKubernetes, ReadsAffinityAndSourceRanges) {
  const auto out = service("web").affinity().source_range(" 10.0.0.0/8 ").source();
  EXPECT_EQ(out.policy.affinity_seconds, 10800u);
  EXPECT_THAT(out.policy.source_ranges, ElementsAre(Cidr::parse("10.0.0.0/8").value()));
  EXPECT_EQ(out.ports.at(0).policy, out.policy);
}

TEST(FromKubernetes, ASourceRangeThatCannotBeReadBlocksTheService) {
  const auto out = service("web").source_range("everyone").source();
  ASSERT_THAT(out.problems, SizeIs(1));
  EXPECT_TRUE(out.problems[0].blocks);
}

TEST(FromKubernetes, ReadsRequestedAddressesFromFieldAndAnnotation) {
  EXPECT_THAT(service("web").requests("192.0.2.1").source().kube->requested,
              ElementsAre(ip("192.0.2.1")));
  EXPECT_THAT(service("web")
                  .annotated(kAddressesAnnotation, "192.0.2.1, 2001:db8::1")
                  .source()
                  .kube->requested,
              ElementsAre(ip("192.0.2.1"), ip("2001:db8::1")));
}

TEST(FromKubernetes, RefusesFieldAndAnnotationThatDiffer) {
  const auto out =
      service("web").requests("192.0.2.1").annotated(kAddressesAnnotation, "192.0.2.2").source();
  EXPECT_THAT(out.kube->requested, IsEmpty());
  ASSERT_THAT(out.problems, SizeIs(1));
  EXPECT_EQ(out.problems[0].reason, "InvalidRequest");
}

TEST(DecodeObjects, ReadsAService) {
  const auto out = decode_service(R"({"metadata":{"name":"web","namespace":"ns","uid":"u",
    "finalizers":["f"],"unknown":1},"spec":{"type":"LoadBalancer","loadBalancerClass":"c",
    "ports":[{"port":80,"targetPort":"http","nodePort":30000}],"sessionAffinity":null,
    "trafficDistribution":"PreferClose"},
    "status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1","ipMode":"Proxy","ports":[{"port":80,
    "protocol":"TCP"}]}]},"conditions":[{"type":"T","status":"True"}]}})");
  ASSERT_TRUE(out.ok()) << out.error().message;
  EXPECT_EQ(out->meta.ns, "ns");
  EXPECT_EQ(out->load_balancer_class, "c");
  EXPECT_EQ(out->traffic_distribution, "PreferClose");
  EXPECT_EQ(out->ports.at(0).target_port, "http");
  EXPECT_EQ(out->ports.at(0).protocol, "TCP");
  EXPECT_EQ(out->ingress.at(0).ip_mode, "Proxy");
  EXPECT_EQ(out->conditions.at(0).type, "T");
}

TEST(DecodeObjects, NamesTheFieldOfTheWrongType) {
  const auto out = decode_service(R"({"spec":{"ports":[{"port":"eighty"}]}})");
  ASSERT_FALSE(out.ok());
  EXPECT_EQ(out.error().pointer, "/spec/ports/0/port");
  EXPECT_FALSE(decode_service("[").ok());
  EXPECT_FALSE(decode_service(R"({"spec":{"ports":[{"port":70000}]}})").ok());
}

TEST(DecodeObjects, ReadsASliceAndANode) {
  const auto slice = decode_endpoint_slice(R"({"addressType":"IPv4","ports":[{"name":"","port":80}],
    "endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":true},"nodeName":"n",
    "zone":"a","hints":{"forZones":[{"name":"b"}]},"targetRef":{"name":"pod"}}]})");
  ASSERT_TRUE(slice.ok());
  EXPECT_EQ(slice->endpoints.at(0).target_name, "pod");
  EXPECT_EQ(slice->endpoints.at(0).zone, "a");
  EXPECT_THAT(slice->endpoints.at(0).hinted_zones, ElementsAre("b"));
  const auto node = decode_node(R"({"spec":{"taints":[{"key":"k"}]},
    "status":{"addresses":[{"type":"InternalIP","address":"192.0.2.9"}]}})");
  ASSERT_TRUE(node.ok());
  EXPECT_EQ(node->addresses.at(0).address, "192.0.2.9");
  EXPECT_THAT(node->taints, ElementsAre("k"));
}

}  // namespace
}  // namespace lb::plan
