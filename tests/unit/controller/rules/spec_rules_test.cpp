// Rules 15 to 20 and 42: what the fields of a Service's spec mean.
#include "controller/core/annotations.hpp"
#include "controller/core/node_targets.hpp"
#include "tests/unit/controller/rules/rules_fixture.hpp"

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using SpecRules = Rules;

struct RangesRow {
  const char* what;
  std::vector<std::string> field;
  std::string annotation;
  std::vector<std::string> result;
};

TEST_F(SpecRules, R15_SourceRangesOfFieldAndAnnotation) {
  const RangesRow rows[] = {
      {"none: everyone", {}, "", {}},
      {"the field", {"10.0.0.0/8"}, "", {"10.0.0.0/8"}},
      {"the annotation", {}, "10.0.0.0/8, 192.168.0.0/16", {"10.0.0.0/8", "192.168.0.0/16"}},
      {"the field beats the annotation", {"10.0.0.0/8"}, "172.16.0.0/12", {"10.0.0.0/8"}},
      {"blanks", {" 10.0.0.0/8 "}, "", {"10.0.0.0/8"}},
      {"everyone, in both families", {"0.0.0.0/0"}, "", {"0.0.0.0/0", "::/0"}},
      {"unless a family is spelt out",
       {"0.0.0.0/0", "2001:db8::/32"},
       "",
       {"0.0.0.0/0", "2001:db8::/32"}},
  };
  for (const auto& row : rows) {
    auto web = service("web");
    for (const auto& each : row.field) web.source_range(each);
    if (!row.annotation.empty()) web.annotated(kSourceRangesAnnotation, row.annotation);
    std::vector<std::string> result;
    for (const auto& each : web.source().policy.source_ranges) result.push_back(each.to_string());
    EXPECT_EQ(result, row.result) << row.what;
  }
}

TEST_F(SpecRules, R15_ARangeThatCannotBeEnforcedKeepsTheServiceFromBeingServed) {
  auto web = service("web").source_range("10.0.0.0/99");
  put(web);
  EXPECT_FALSE(plan(web).desired);
}

TEST_F(SpecRules, R15_RangesHoldForTcpAndUdp) {
  auto both = service("both").port(53, "UDP").source_range("10.0.0.0/8");
  for (const auto& port : both.source().ports) EXPECT_THAT(port.policy.source_ranges, SizeIs(1));
}

TEST_F(SpecRules, R16_ClientIpAffinityHasItsTimeAndIsSwitchedBothWays) {
  auto web = service("web").affinity();
  EXPECT_EQ(web.source().policy.affinity_seconds, 10800u);
  web.object().affinity_timeout_s = 60;
  EXPECT_EQ(web.source().policy.affinity_seconds, 60u);
  web.object().session_affinity = "None";
  EXPECT_EQ(web.source().policy.affinity_seconds, 0u);
}

class NodeRules : public Rules {
 protected:
  static NodeObject node(const std::string& name, const std::string& address) {
    NodeObject out;
    out.meta.name = name;
    out.addresses = {{"InternalIP", address}};
    return out;
  }
  static ServiceBuilder on_nodes() {
    auto out = service("web").annotated(kTargetsAnnotation, "nodes");
    out.object().ports[0].node_port = 30080;
    return out;
  }
  static SliceEndpoint at(const std::string& pod, const std::string& node) {
    SliceEndpoint out;
    out.addresses = {pod};
    out.node_name = node;
    return out;
  }
  static std::vector<std::string> targets(const SourceService& source) {
    std::vector<std::string> out;
    for (const auto& each : source.ports.at(0).backends) {
      out.push_back(each.endpoint().to_string() + "*" + std::to_string(each.weight));
    }
    return out;
  }
  const std::vector<NodeObject> nodes{node("n1", "10.1.0.1"), node("n2", "10.1.0.2")};
};

TEST_F(NodeRules, R17_LocalTargetsNodesWithReadyPodsAndAsksTheHealthCheckNodePort) {
  auto web = on_nodes();
  web.object().external_traffic_policy = "Local";
  web.object().health_check_node_port = 32000;
  EndpointSliceObject slice = SliceBuilder("web").port("p80", 8080);
  slice.endpoints = {at("10.0.0.1", "n1"), at("10.0.0.2", "n1")};
  const auto out = from_kubernetes(web.object(), {slice}, nodes);
  EXPECT_THAT(targets(out), ElementsAre("10.1.0.1:30080*2")) << "as many for each pod";
  EXPECT_EQ(out.ports[0].policy.health.port, 32000);
  EXPECT_EQ(out.ports[0].policy.health.path, "/healthz");
}

TEST_F(NodeRules, R18_NodesThatAreExcludedOrLeavingAreLeftOutAndNotReadyOnesAreNot) {
  auto excluded = nodes[0], included = nodes[0], leaving = nodes[0], deleted = nodes[0];
  excluded.meta.labels[kExcludeLabel] = "";
  included.meta.labels[kExcludeLabel] = "false";
  leaving.taints = {"ToBeDeletedByClusterAutoscaler"};
  auto disrupted = nodes[0];
  disrupted.taints = {"example.com/other", "karpenter.sh/disrupted"};
  deleted.meta.deletion_time = "2026-01-01T00:00:00Z";
  auto not_ready = nodes[0];
  not_ready.taints = {"node.kubernetes.io/not-ready"};
  const std::tuple<const char*, NodeObject, size_t> rows[] = {
      {"excluded", excluded, 1u}, {"the value false", included, 2u},
      {"leaving", leaving, 1u},   {"disrupted", disrupted, 1u},
      {"deleted", deleted, 1u},   {"not ready", not_ready, 2u}};
  for (const auto& [what, first, count] : rows) {
    const auto out = from_kubernetes(on_nodes().object(), {}, {first, nodes[1]});
    EXPECT_THAT(targets(out), SizeIs(count)) << what;
  }
}

TEST_F(NodeRules, R19_WithoutNodePortsPodsServeAndNodesSayThatTheyCannot) {
  auto web = service("web");  // nodePort 0
  EndpointSliceObject slice = SliceBuilder("web").port("p80", 8080).endpoint("10.0.0.1");
  EXPECT_THAT(from_kubernetes(web.object(), {slice}).ports[0].backends, SizeIs(1));
  web.annotated(kTargetsAnnotation, "nodes");
  const auto out = from_kubernetes(web.object(), {slice}, nodes);
  EXPECT_THAT(out.ports[0].backends, IsEmpty());
  ASSERT_THAT(out.problems, SizeIs(1));
  EXPECT_EQ(out.problems[0].reason, "NodePortMissing");
  EXPECT_EQ(out.problems[0].port, 80);
}

TEST_F(SpecRules, R20_ExternalIpsAreNotServedAndSctpIsAnErrorOfItsPort) {
  const auto decoded = decode_service(
      R"({"metadata":{"namespace":"d","name":"x"},"spec":{"type":"LoadBalancer",
          "externalIPs":["192.0.2.12"],"internalTrafficPolicy":"Local","ports":[
          {"name":"s","port":9,"protocol":"SCTP"},{"name":"t","port":80,"appProtocol":"h2c"}]}})");
  ASSERT_TRUE(decoded);
  const auto source = from_kubernetes(*decoded, {});
  EXPECT_THAT(source.addresses, IsEmpty());
  EXPECT_THAT(source.kube->requested, IsEmpty());
  ASSERT_THAT(source.ports, SizeIs(1));
  ASSERT_THAT(source.problems, SizeIs(1));
  EXPECT_EQ(source.problems[0].reason, "UnsupportedProtocol");
  EXPECT_EQ(source.problems[0].port, 9);
}

TEST_F(SpecRules, R42_RequestsByFieldAndByAnnotation) {
  struct Row {
    const char* what;
    std::string field, annotation, address, reason;
  };
  const Row rows[] = {
      {"the field", "192.0.2.12", "", "192.0.2.12", ""},
      {"the annotation", "", "192.0.2.12", "192.0.2.12", ""},
      {"both, the same", "192.0.2.12", "192.0.2.12", "192.0.2.12", ""},
      {"both, and different", "192.0.2.12", "192.0.2.13", "", "InvalidRequest"},
      {"both, and one of two differs", "192.0.2.12, 2001:db8::9", "192.0.2.12", "",
       "InvalidRequest"},
      {"outside every pool", "203.0.113.1", "", "", "AddressNotInPool"},
      {"no address at all", "web.example", "", "", "InvalidRequest"},
      {"two of a family", "", "192.0.2.12, 192.0.2.13", "", "InvalidRequest"},
      {"a name in a list", "", "192.0.2.12, web.example", "", "InvalidRequest"},
  };
  for (const auto& row : rows) {
    allocator = Allocator({pool("192.0.2.10-192.0.2.13")});
    auto web = service("web").requests(row.field);
    if (!row.annotation.empty()) web.annotated("empalme.io/addresses", row.annotation);
    put(web);
    const auto planned = plan(web);
    ASSERT_EQ(planned.desired.has_value(), !row.address.empty()) << row.what;
    if (planned.desired) {
      EXPECT_EQ(planned.desired->addresses[0].to_string(), row.address) << row.what;
      continue;
    }
    const Condition* accepted = condition(planned, kAccepted);
    ASSERT_NE(accepted, nullptr) << row.what;
    EXPECT_EQ(accepted->status, "False") << row.what;
    EXPECT_EQ(accepted->reason, row.reason) << row.what;
    EXPECT_TRUE(event(planned, "SyncLoadBalancerFailed")) << row.what;
  }
}

TEST_F(SpecRules, R42_AnAddressOfAFamilyThatTheServiceHasNotIsRefused) {
  auto web = service("web").families({"IPv4"}, "SingleStack");
  web.annotated("empalme.io/addresses", "2001:db8::10");
  put(web);
  EXPECT_FALSE(plan(web).desired);
}

TEST_F(SpecRules, R42_AServiceThatRunsIsTakenDownByAContradictionAndComesBackAtItsAddress) {
  auto web = service("web").requests("192.0.2.12");
  settle(web);
  ASSERT_EQ(address(web), "192.0.2.12");
  web.annotated("empalme.io/addresses", "192.0.2.13");
  settle(web);
  EXPECT_EQ(address(web), "");
  web.object().meta.annotations.clear();
  settle(web);
  EXPECT_EQ(address(web), "192.0.2.12");
}

TEST_F(SpecRules, R42_SourceRangesThatTheAnnotationContradictsAreRefused) {
  struct Row {
    const char *what, *field, *name, *value;
    bool served;
  };
  const Row rows[] = {
      {"the same", "10.0.0.0/8", "empalme.io/source-ranges", "10.0.0.0/8", true},
      {"the same by halves", "10.0.0.0/8", "empalme.io/source-ranges", "10.128.0.0/9, 10.0.0.0/9",
       true},
      {"everyone, twice", "0.0.0.0/0", "empalme.io/source-ranges", "0.0.0.0/0", true},
      {"wider", "10.0.0.0/8", "empalme.io/source-ranges", "0.0.0.0/0", false},
      {"narrower", "10.0.0.0/8", "empalme.io/source-ranges", "10.1.0.0/16", false},
      {"others", "10.0.0.0/8", "empalme.io/source-ranges", "192.0.2.0/24", false},
      {"none: everyone", "10.0.0.0/8", "empalme.io/source-ranges", "", false},
      {"a port that narrows", "10.0.0.0/8", "empalme.io/port.80.source-ranges", "10.1.0.0/16",
       true},
      {"a port that widens", "10.0.0.0/8", "empalme.io/port.80.source-ranges", "::/0", false},
      {"no field", "", "empalme.io/source-ranges", "10.0.0.0/8", true},
  };
  for (const auto& row : rows) {
    auto web = service("web").annotated(row.name, row.value);
    if (*row.field != 0) web.source_range(row.field);
    put(web);
    const auto planned = plan(web);
    EXPECT_EQ(planned.desired.has_value(), row.served) << row.what;
    if (row.served) continue;
    ASSERT_THAT(planned.problems, SizeIs(1)) << row.what;
    EXPECT_EQ(planned.problems[0].reason, "InvalidRequest") << row.what;
  }
}

TEST_F(SpecRules, R42_AnAnnotationOfOursGoesBeforeTheOldOneOfOthers) {
  auto web = service("web")
                 .annotated(kSourceRangesAnnotation, "10.0.0.0/8")
                 .annotated("empalme.io/source-ranges", "192.0.2.0/24");
  put(web);
  const auto planned = plan(web);
  ASSERT_TRUE(planned.desired);
  ASSERT_THAT(planned.desired->policy.source_ranges, SizeIs(1));
  EXPECT_EQ(planned.desired->policy.source_ranges[0].to_string(), "192.0.2.0/24");
}

TEST_F(SpecRules, R42_AffinityThatTheAnnotationContradictsIsRefused) {
  auto web = service("web").affinity().annotated("empalme.io/affinity-seconds", "0");
  put(web);
  EXPECT_FALSE(plan(web).desired) << "ClientIP, and none";
  web.annotated("empalme.io/affinity-seconds", "60");
  put(web);
  EXPECT_TRUE(plan(web).desired) << "the time in the field may be nobody's wish";
  web.object().affinity_timeout_s = 90;
  put(web);
  EXPECT_FALSE(plan(web).desired) << "two times";
  web.object().affinity_timeout_s = 60;
  put(web);
  EXPECT_TRUE(plan(web).desired);
}

}  // namespace
}  // namespace lb::plan
