// What makes an endpoint that of a Pod, and what becomes of one that is not.
#include "controller/core/pods.hpp"

#include <gmock/gmock.h>

#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

PodObject decoded(const std::string& status) {
  return decode_pod(R"({"metadata":{"namespace":"d","name":"p"},"status":)" + status + "}").value();
}

TEST(Pods, HaveTheAddressesOfTheirStatus) {
  const auto pod = decoded(R"({"phase":"Running","podIP":"10.0.0.1",
      "podIPs":[{"ip":"10.0.0.1"},{"ip":"fd00::1"},{"ip":"banana"}]})");
  EXPECT_EQ(pod_key(pod.ns, pod.name), "d/p");
  EXPECT_THAT(pod.addresses, ElementsAre(ip("10.0.0.1"), ip("fd00::1")));
}

TEST(Pods, ThatAreOverHaveNone) {
  for (const char* phase : {"Succeeded", "Failed"}) {
    const auto pod =
        decoded(std::string(R"({"phase":")") + phase + R"(","podIPs":[{"ip":"10.0.0.1"}]})");
    EXPECT_THAT(pod.addresses, IsEmpty()) << phase;
  }
}

TEST(Pods, ThatCannotBeReadAreAnError) {
  EXPECT_FALSE(decode_pod(R"({"metadata":{"name":"p"},"status":{"podIPs":"10.0.0.1"}})"));
  EXPECT_FALSE(decode_pod(R"({"metadata":{"name":"../p"}})"));
}

// The Pods "default/pod-10.0.0.1", with that address, and "other/pod-10.0.0.9".
const Pods kPods = {{"default/pod-10.0.0.1", {ip("10.0.0.1")}},
                    {"other/pod-10.0.0.9", {ip("10.0.0.9")}}};

EndpointSliceObject slice(const std::string& address, const std::string& kind,
                          const std::string& ns, const std::string& name) {
  EndpointSliceObject out = SliceBuilder("web").port("p80", 8080).endpoint(address);
  out.endpoints[0].target_kind = kind;
  out.endpoints[0].target_ns = ns;
  out.endpoints[0].target_name = name;
  return out;
}

TEST(StrictJoin, TakesOnlyWhatAPodOfTheNamespaceAnswersFor) {
  struct Row {
    const char *what, *address, *kind, *ns, *name;
    bool taken;
  };
  const Row rows[] = {
      {"a Pod's own", "10.0.0.1", "Pod", "default", "pod-10.0.0.1", true},
      {"no namespace is the slice's", "10.0.0.1", "Pod", "", "pod-10.0.0.1", true},
      {"another address than its Pod's", "10.0.0.2", "Pod", "default", "pod-10.0.0.1", false},
      {"a Pod that is not there", "10.0.0.1", "Pod", "default", "nobody", false},
      {"a Pod of another namespace", "10.0.0.9", "Pod", "other", "pod-10.0.0.9", false},
      {"its name in this namespace", "10.0.0.9", "Pod", "default", "pod-10.0.0.9", false},
      {"something else of that name", "10.0.0.1", "Node", "default", "pod-10.0.0.1", false},
      {"no target", "10.0.0.1", "", "", "", false},
  };
  for (const auto& row : rows) {
    const std::vector<EndpointSliceObject> slices = {
        slice(row.address, row.kind, row.ns, row.name)};
    const auto strict = join(service("web").object(), slices, &kPods);
    EXPECT_THAT(strict.ports.at(0).backends, SizeIs(row.taken ? 1 : 0)) << row.what;
    EXPECT_THAT(join(service("web").object(), slices).ports.at(0).backends, SizeIs(1)) << row.what;
    ASSERT_THAT(strict.problems, SizeIs(row.taken ? 0 : 1)) << row.what;
    if (row.taken) continue;
    EXPECT_EQ(strict.problems[0].reason, "EndpointNotAPod") << row.what;
    EXPECT_FALSE(strict.problems[0].blocks) << "the others are served";
    EXPECT_THAT(strict.problems[0].message, HasSubstr(row.address));
    EXPECT_THAT(strict.problems[0].message, HasSubstr("EndpointSlice slice"));
  }
}

TEST(StrictJoin, AForgedEndpointDoesNotTakeThePlaceOfThePodsOwn) {
  auto forged = slice("10.0.0.1", "", "", "");
  forged.meta.name = "forged";
  const auto out = join(service("web").object(),
                        {forged, slice("10.0.0.1", "Pod", "default", "pod-10.0.0.1")}, &kPods);
  ASSERT_THAT(out.ports.at(0).backends, SizeIs(1));
  EXPECT_EQ(out.ports[0].backends[0].name, "pod-10.0.0.1");
}

TEST(StrictJoin, APodThatEndsIsNoNewsWhileItsSliceIsStillThere) {
  auto ending = slice("10.0.0.5", "Pod", "default", "gone");
  ending.endpoints[0].ready = false;
  ending.endpoints[0].serving = true;
  ending.endpoints[0].terminating = true;
  const auto out = join(service("web").object(), {ending}, &kPods);
  EXPECT_THAT(out.ports.at(0).backends, IsEmpty());
  EXPECT_THAT(out.problems, IsEmpty());
}

TEST(StrictJoin, AServiceOfNodesCountsOnlyPodsThatAre) {
  auto web = service("web").annotated("empalme.io/targets", "nodes");
  web.object().external_traffic_policy = "Local";
  web.object().ports[0].node_port = 30080;
  NodeObject node;
  node.meta.name = "n1";
  node.addresses = {{"InternalIP", "10.1.0.1"}};
  auto forged = slice("10.0.0.7", "", "", "");
  forged.endpoints[0].node_name = "n1";
  EXPECT_THAT(from_kubernetes(web.object(), {forged}, {node}, &kPods).ports[0].backends, IsEmpty());
  EXPECT_THAT(from_kubernetes(web.object(), {forged}, {node}).ports[0].backends, SizeIs(1));
}

}  // namespace
}  // namespace lb::plan
