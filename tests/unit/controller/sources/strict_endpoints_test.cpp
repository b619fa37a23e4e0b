// --strict-endpoints: an endpoint is a backend once a Pod has its address, and no longer.
#include "tests/unit/controller/sources/kubernetes_source_rig.hpp"

namespace lb::sources {
namespace {

// The slice "web-1" says that the Pod "p" has this address.
std::string slice_of_pod(const char* address) {
  return std::string(R"({"metadata":{"namespace":"d","name":"web-1",
    "labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4",
    "ports":[{"name":"http","port":8080,"protocol":"TCP"}],
    "endpoints":[{"addresses":[")") +
         address + R"("],"targetRef":{"kind":"Pod","namespace":"d","name":"p"}}]})";
}
std::string pod(const char* address, const char* name = "p") {
  return std::string(R"({"metadata":{"namespace":"d","name":")") + name +
         R"("},"status":{"phase":"Running","podIPs":[{"ip":")" + address + R"("}]}})";
}

class StrictEndpoints : public KubernetesSourceTest {
 protected:
  void run(const std::string& slices, const std::string& pods) {
    scripts.services.add(200, list(kService));
    scripts.slices.add(200, list(slices));
    scripts.nodes.add(200, list(""));
    scripts.pods.add(200, list(pods));
    start(/*strict=*/true);
    ASSERT_TRUE(run_until([&] { return sink.synced_with.has_value(); }));
  }
  std::vector<std::string> reasons() {
    std::vector<std::string> out;
    for (const auto& each : sink.services["kubernetes/d/web"].problems) out.push_back(each.reason);
    return out;
  }
};

TEST_F(StrictEndpoints, NothingIsSaidBeforePodsAreListed) {
  scripts.services.add(200, list(kService));
  scripts.slices.add(200, list(slice_of_pod("10.0.0.1")));
  scripts.nodes.add(200, list(R"({"metadata":{"name":"n1"},
    "status":{"addresses":[{"type":"InternalIP","address":"192.0.2.9"}]}})"));
  start(/*strict=*/true);
  ASSERT_TRUE(run_until([&] { return !sink.node_addresses.empty(); }));
  EXPECT_TRUE(sink.services.empty());
  EXPECT_FALSE(sink.synced_with);
  scripts.pods.add(200, list(pod("10.0.0.1")));
  ASSERT_TRUE(run_until([&] { return sink.synced_with.has_value(); }));
  EXPECT_EQ(backends(), 1u);
}

TEST_F(StrictEndpoints, APodThatComesMakesItsEndpointABackendAndOneThatGoesUnmakesIt) {
  run(slice_of_pod("10.0.0.1"), "");
  EXPECT_EQ(backends(), 0u);
  EXPECT_THAT(reasons(), testing::ElementsAre("EndpointNotAPod"));
  scripts.pods.add_stream({event("ADDED", pod("10.0.0.1"))});
  ASSERT_TRUE(run_until([&] { return backends() == 1; }));
  EXPECT_THAT(reasons(), testing::IsEmpty());
  scripts.pods.add_stream({event("DELETED", pod("10.0.0.1"))});
  EXPECT_TRUE(run_until([&] { return backends() == 0; }));
}

TEST_F(StrictEndpoints, APodWhoseAddressChangesIsLookedAtAgain) {
  run(slice_of_pod("10.0.0.1"), pod("10.0.0.1"));
  ASSERT_EQ(backends(), 1u);
  scripts.pods.add_stream({event("MODIFIED", pod("10.0.0.2"))});
  ASSERT_TRUE(run_until([&] { return backends() == 0; }));
  scripts.slices.add_stream({event("MODIFIED", slice_of_pod("10.0.0.2"))});
  EXPECT_TRUE(run_until([&] { return backends() == 1; }));
}

TEST_F(StrictEndpoints, APodThatANewListLacksIsGone) {
  run(slice_of_pod("10.0.0.1"), pod("10.0.0.1") + "," + pod("10.0.0.7", "other"));
  ASSERT_EQ(backends(), 1u);
  scripts.pods.add_stream({event("ERROR", R"({"kind":"Status","code":410})")});
  scripts.pods.add(200, list(pod("10.0.0.7", "other")));
  EXPECT_TRUE(run_until([&] { return backends() == 0; }));
}

TEST_F(StrictEndpoints, APodThatNoSliceNamesAnyMoreChangesNothing) {
  run(slice_of_pod("10.0.0.1"), pod("10.0.0.1"));
  scripts.slices.add_stream({event("DELETED", slice_of_pod("10.0.0.1"))});
  ASSERT_TRUE(run_until([&] { return backends() == 0; }));
  sink.services.clear();
  scripts.pods.add_stream({event("DELETED", pod("10.0.0.1")), event("ADDED", "not an object"),
                           event("ADDED", pod("x"))});
  scripts.services.add_stream({event("ADDED", R"({"metadata":{"namespace":"d","name":"x"}})")});
  ASSERT_TRUE(run_until([&] { return sink.services.contains("kubernetes/d/x"); }));
  EXPECT_FALSE(sink.services.contains("kubernetes/d/web"));
}

TEST_F(StrictEndpoints, PodsThatMayNotBeReadKeepTheSourceFromBeingSyncedAndAreSaidToBeStale) {
  scripts.services.add(200, list(kService));
  scripts.slices.add(200, list(slice_of_pod("10.0.0.1")));
  scripts.nodes.add(200, list(""));
  scripts.pods.add(403, "{}");
  start(/*strict=*/true);
  EXPECT_TRUE(run_until([&] { return sink.stale.contains("kubernetes//api/v1/pods"); }));
  EXPECT_FALSE(sink.synced_with);
}

TEST_F(StrictEndpoints, WithoutTheFlagPodsAreNotAskedFor) {
  scripts.services.add(200, list(kService));
  scripts.slices.add(200, list(slice_of_pod("10.0.0.1")));
  scripts.nodes.add(200, list(""));
  start();
  ASSERT_TRUE(run_until([&] { return sink.synced_with.has_value(); }));
  EXPECT_EQ(backends(), 1u);
  EXPECT_EQ(source->reflectors().size(), 3u);
}

}  // namespace
}  // namespace lb::sources
