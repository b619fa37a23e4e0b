#include "controller/core/node_targets.hpp"

#include <gmock/gmock.h>

#include "controller/core/annotations.hpp"
#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

NodeObject node(const std::string& name, const std::string& address) {
  NodeObject out;
  out.meta.name = name;
  out.addresses = {{"Hostname", name}, {"InternalIP", address}};
  return out;
}

class NodeTargets : public testing::Test {
 protected:
  NodeTargets() {
    web.annotated(kTargetsAnnotation, "nodes");
    web.object().ports[0].node_port = 30080;
  }
  SourceService source(const std::vector<EndpointSliceObject>& slices = {}) const {
    return from_kubernetes(web.object(), slices, nodes);
  }
  static std::vector<std::string> backends(const SourceService& out) {
    std::vector<std::string> all;
    for (const auto& each : out.ports.at(0).backends) {
      all.push_back(each.endpoint().to_string() + " x" + std::to_string(each.weight));
    }
    return all;
  }
  EndpointSliceObject pods() const {
    EndpointSliceObject out = SliceBuilder("web")
                                  .port("p80", 8080)
                                  .endpoint("10.0.0.1")
                                  .endpoint("10.0.0.2")
                                  .endpoint("10.0.0.3", false);
    out.endpoints[0].node_name = out.endpoints[1].node_name = "a";
    out.endpoints[2].node_name = "b";
    return out;
  }

  ServiceBuilder web = service("web");
  std::vector<NodeObject> nodes{node("a", "192.0.2.1"), node("b", "192.0.2.2")};
};

TEST_F(NodeTargets, EveryNodeIsABackendAtTheNodePort) {
  EXPECT_THAT(backends(source()), ElementsAre("192.0.2.1:30080 x1", "192.0.2.2:30080 x1"));
}

TEST_F(NodeTargets, PodsAreTheDefault) {
  web.object().meta.annotations.clear();
  EXPECT_THAT(backends(source({pods()})), SizeIs(3));
}

TEST_F(NodeTargets, LocalUsesNodesWithReadyPodsByTheirNumberAndAsksKubeProxy) {
  web.object().external_traffic_policy = "Local";
  web.object().health_check_node_port = 32000;
  const auto out = source({pods()});
  EXPECT_THAT(backends(out), ElementsAre("192.0.2.1:30080 x2"));
  EXPECT_EQ(out.ports[0].policy.health.type, HealthType::kHttp);
  EXPECT_EQ(out.ports[0].policy.health.port, 32000);
}

TEST_F(NodeTargets, AHealthCheckOfTheOwnersIsKept) {
  web.object().external_traffic_policy = "Local";
  web.object().health_check_node_port = 32000;
  web.annotated("empalme.io/health.type", "tcp");
  EXPECT_EQ(source({pods()}).ports[0].policy.health.type, HealthType::kTcp);
}

TEST_F(NodeTargets, ExcludedAndLeavingNodesAreLeftOut) {
  nodes[0].meta.labels[kExcludeLabel] = "";
  nodes.push_back(node("c", "192.0.2.3"));
  nodes[2].taints = {"ToBeDeletedByClusterAutoscaler"};
  EXPECT_THAT(backends(source()), ElementsAre("192.0.2.2:30080 x1"));
  nodes[0].meta.labels[kExcludeLabel] = "false";
  EXPECT_THAT(backends(source()), SizeIs(2)) << "false means included";
}

TEST_F(NodeTargets, WhereEveryNodeIsExcludedAllAreUsedAndItIsSaid) {
  for (auto& each : nodes) each.meta.labels[kExcludeLabel] = "";
  const auto out = source();
  EXPECT_THAT(backends(out), SizeIs(2));
  ASSERT_THAT(out.problems, SizeIs(1));
  EXPECT_EQ(out.problems[0].reason, "EveryNodeExcluded");
}

TEST_F(NodeTargets, APortWithoutANodePortIsAProblemOfThatPort) {
  web.object().ports[0].node_port = 0;
  const auto out = source();
  EXPECT_THAT(backends(out), IsEmpty());
  ASSERT_THAT(out.problems, SizeIs(1));
  EXPECT_EQ(out.problems[0].port, 80);
}

TEST_F(NodeTargets, AnotherWordIsNamed) {
  web.annotated(kTargetsAnnotation, "clouds");
  ASSERT_THAT(source().problems, SizeIs(1));
  EXPECT_EQ(source().problems[0].reason, "InvalidAnnotation");
}

TEST_F(NodeTargets, ANodesZoneIsItsBackends) {
  nodes[0].meta.labels["topology.kubernetes.io/zone"] = "z1";
  EXPECT_EQ(source().ports[0].backends[0].zone, "z1");
}

}  // namespace
}  // namespace lb::plan
