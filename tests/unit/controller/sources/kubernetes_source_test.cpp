// Three resources in any order become whole services.
#include "tests/unit/controller/sources/kubernetes_source_rig.hpp"

namespace lb::sources {
namespace {

TEST_F(KubernetesSourceTest, IsSyncedOnlyWithAllThree) {
  scripts.services.add(200, list(kService));
  scripts.slices.add(200, list(slice("10.0.0.1")));
  start();
  EXPECT_TRUE(run_until([&] { return sink.services.size() == 1; }));
  EXPECT_FALSE(sink.synced_with);
  scripts.nodes.add(200, list(R"({"metadata":{"name":"n1"},
    "status":{"addresses":[{"type":"InternalIP","address":"192.0.2.9"}]}})"));
  EXPECT_TRUE(run_until([&] { return sink.synced_with.has_value(); }));
  EXPECT_TRUE(sink.node_addresses.contains(IpAddress::parse("192.0.2.9").value()));
}

TEST_F(KubernetesSourceTest, TellsOfTheSlicesOfAServiceThatItIsToFollowEvenIfItIsNotOurs) {
  std::vector<size_t> told;
  source = std::make_unique<KubernetesSource>(
      io,
      KubernetesSource::Options{[this] { return std::make_unique<Client>(scripts); }, [] {}, false,
                                "kubernetes/d/web",
                                [&](const auto& slices) { told.push_back(slices.size()); }},
      sink);
  source->start();
  std::string second = slice("10.0.0.2");
  second.replace(second.find("web-1"), 5, "web-2");
  scripts.slices.add(200, list(slice("10.0.0.1") + "," + second));
  ASSERT_TRUE(run_until([&] { return !told.empty(); }));
  EXPECT_EQ(told.front(), 2U) << "some of them are not all of them";
  scripts.slices.add_stream({event("DELETED", slice("10.0.0.1"))});
  EXPECT_TRUE(run_until([&] { return told.back() == 1; }));
}

TEST_F(KubernetesSourceTest, AFollowedServiceWithoutSlicesIsToldOfOnceThatIsKnown) {
  std::vector<size_t> told;
  source = std::make_unique<KubernetesSource>(
      io,
      KubernetesSource::Options{[this] { return std::make_unique<Client>(scripts); }, [] {}, false,
                                "kubernetes/d/other",
                                [&](const auto& slices) { told.push_back(slices.size()); }},
      sink);
  source->start();
  scripts.slices.add(200, list(slice("10.0.0.1")));
  ASSERT_TRUE(run_until([&] { return !told.empty(); }));
  EXPECT_EQ(told, std::vector<size_t>{0});
}

TEST_F(KubernetesSourceTest, JoinsASliceThatComesBeforeItsService) {
  scripts.slices.add(200, list(slice("10.0.0.1")));
  start();
  scripts.services.add(200, list(kService));
  ASSERT_TRUE(run_until([&] { return sink.services.contains("kubernetes/d/web"); }));
  EXPECT_TRUE(run_until([&] { return backends() == 1; }));
}

TEST_F(KubernetesSourceTest, FollowsSlicesThatChangeAndGo) {
  scripts.services.add(200, list(kService));
  scripts.slices.add(200, list(slice("10.0.0.1")));
  start();
  ASSERT_TRUE(
      run_until([&] { return sink.services.contains("kubernetes/d/web") && backends() == 1; }));
  scripts.slices.add_stream({event("DELETED", slice("10.0.0.1"))});
  EXPECT_TRUE(run_until([&] { return backends() == 0; }));
}

TEST_F(KubernetesSourceTest, ADeletedServiceGoes) {
  scripts.services.add(200, list(kService));
  start();
  ASSERT_TRUE(run_until([&] { return sink.services.size() == 1; }));
  scripts.services.add_stream({event("DELETED", kService)});
  EXPECT_TRUE(run_until([&] { return sink.services.empty(); }));
}

TEST_F(KubernetesSourceTest, AnObjectThatCannotBeReadKeepsWhatIsKnown) {
  scripts.services.add(200, list(kService));
  start();
  ASSERT_TRUE(run_until([&] { return sink.services.size() == 1; }));
  scripts.services.add_stream({event("MODIFIED", R"({"metadata":{"namespace":"d","name":"web"},
    "spec":{"ports":"many"}})"),
                               event("ADDED", R"({"metadata":{"namespace":"d","name":"x"}})")});
  EXPECT_TRUE(run_until([&] { return sink.services.contains("kubernetes/d/x"); }));
  EXPECT_EQ(sink.services["kubernetes/d/web"].ports.size(), 1u);
}

TEST_F(KubernetesSourceTest, SaysWhichResourceIsStale) {
  scripts.services.add(403, "{}");
  start();
  EXPECT_TRUE(run_until([&] { return !sink.stale.empty(); }));
  EXPECT_EQ(*sink.stale.begin(), "kubernetes//api/v1/services");
}

}  // namespace
}  // namespace lb::sources
