// Three resources in any order become whole services.
#include "controller/sources/kubernetes_source.hpp"

#include <gmock/gmock.h>

#include "tests/unit/controller/kube/scripted_client.hpp"

namespace lb::sources {
namespace {

using namespace std::chrono_literals;

class Sink : public SourceSink {
 public:
  void upsert(plan::SourceService service) override { services[service.key] = service; }
  void remove(const std::string& key) override { services.erase(key); }
  void synced(const std::string&, const std::set<std::string>& keys) override {
    synced_with = keys;
  }
  void nodes(std::set<IpAddress> addresses) override { node_addresses = addresses; }
  void freshness(const std::string& source, std::optional<Error> trouble) override {
    if (trouble) stale.insert(source);
    if (!trouble) stale.erase(source);
  }
  std::map<std::string, plan::SourceService> services;
  std::optional<std::set<std::string>> synced_with;
  std::set<IpAddress> node_addresses;
  std::set<std::string> stale;
};

// One script for each resource, chosen by what is asked for.
class Scripts {
 public:
  kube::Script services, slices, nodes;
  kube::Script& of(const std::string& target) {
    if (target.find("endpointslices") != std::string::npos) return slices;
    return target.find("nodes") != std::string::npos ? nodes : services;
  }
  void cancel() {
    services.cancel();
    slices.cancel();
    nodes.cancel();
  }
};

class Client : public kube::HttpClient {
 public:
  explicit Client(Scripts& scripts) : scripts_(scripts) {}
  Result<net::HttpResponse> request(const net::HttpRequest& request) override {
    return scripts_.of(request.target).next(request).answer;
  }
  Result<net::HttpResponse> stream(const net::HttpRequest& request,
                                   const OnLine& on_line) override {
    const auto step = scripts_.of(request.target).next(request);
    for (const auto& line : step.lines) on_line(line);
    return step.answer;
  }
  void cancel() override { scripts_.cancel(); }

 private:
  Scripts& scripts_;
};

constexpr char kService[] = R"({"metadata":{"namespace":"d","name":"web","uid":"u"},
  "spec":{"type":"LoadBalancer","ports":[{"name":"http","port":80}]}})";
std::string slice(const char* address) {
  return std::string(R"({"metadata":{"namespace":"d","name":"web-1",
    "labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4",
    "ports":[{"name":"http","port":8080,"protocol":"TCP"}],
    "endpoints":[{"addresses":[")") +
         address + R"("]}]})";
}
std::string list(const std::string& items) {
  return R"({"metadata":{"resourceVersion":"1"},"items":[)" + items + "]}";
}
std::string event(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}";
}

class KubernetesSourceTest : public testing::Test {
 protected:
  void start() {
    source = std::make_unique<KubernetesSource>(
        io, KubernetesSource::Options{[this] { return std::make_unique<Client>(scripts); }, [] {}},
        sink);
    source->start();
  }
  ~KubernetesSourceTest() override {
    if (source) source->stop();
  }
  bool run_until(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (!holds() && std::chrono::steady_clock::now() < end) {
      io.restart();
      io.run_for(5ms);
    }
    return holds();
  }
  size_t backends() { return sink.services["kubernetes/d/web"].ports.at(0).backends.size(); }

  asio::io_context io;
  Scripts scripts;
  Sink sink;
  std::unique_ptr<KubernetesSource> source;
};

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
