// AddressPools and namespaces of a scripted API server.
#include "controller/sources/address_pool_source.hpp"

#include <gmock/gmock.h>

#include "tests/unit/controller/kube/scripted_client.hpp"

namespace lb::sources {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;
using testing::SizeIs;

class Sink : public PoolSink {
 public:
  void namespaces(std::map<std::string, plan::Labels> all) override { labels = std::move(all); }
  void pools(std::vector<plan::Pool> all) override { known = std::move(all); }
  void freshness(const std::string& source, std::optional<Error> trouble) override {
    trouble ? static_cast<void>(stale.insert(source)) : static_cast<void>(stale.erase(source));
  }
  std::map<std::string, plan::Labels> labels;
  std::optional<std::vector<plan::Pool>> known;
  std::set<std::string> stale;
};

struct Scripts {
  kube::Script pools, namespaces;
  kube::Script& of(const std::string& target) {
    return target.find("addresspools") == std::string::npos ? namespaces : pools;
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
  void cancel() override {
    scripts_.pools.cancel();
    scripts_.namespaces.cancel();
  }

 private:
  Scripts& scripts_;
};

std::string list(const std::string& items) {
  return R"({"metadata":{"resourceVersion":"1"},"items":[)" + items + "]}";
}
std::string pool(const std::string& name, const std::string& address) {
  return R"({"metadata":{"name":")" + name + R"("},"spec":{"addresses":[")" + address + R"("]}})";
}
std::string event(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}";
}
constexpr char kNamespace[] = R"({"metadata":{"name":"shop","labels":{"team":"web"}}})";

class AddressPoolSourceTest : public testing::Test {
 protected:
  void start() { source.start(); }
  ~AddressPoolSourceTest() override { source.stop(); }
  bool run_until(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (!holds() && std::chrono::steady_clock::now() < end) {
      io.restart();
      io.run_for(5ms);
    }
    return holds();
  }
  size_t count() const { return sink.known ? sink.known->size() : 0; }

  asio::io_context io;
  Scripts scripts;
  Sink sink;
  AddressPoolSource source{
      io, AddressPoolSource::Options{[this] { return std::make_unique<Client>(scripts); }, [] {}},
      sink};
};

TEST_F(AddressPoolSourceTest, SaysNothingBeforeNamespacesAreListedToo) {
  scripts.pools.add(200, list(pool("a", "192.0.2.1")));
  start();
  ASSERT_TRUE(scripts.pools.used_up());
  io.run_for(10ms);
  EXPECT_FALSE(sink.known);
  scripts.namespaces.add(200, list(kNamespace));
  ASSERT_TRUE(run_until([this] { return sink.known.has_value(); }));
  EXPECT_THAT(*sink.known, SizeIs(1));
  EXPECT_EQ(sink.labels["shop"]["team"], "web");
}

TEST_F(AddressPoolSourceTest, AClusterWithoutTheDefinitionHasNoPoolsAndIsNotStale) {
  scripts.pools.add(404, "{}");
  scripts.namespaces.add(200, list(kNamespace));
  start();
  ASSERT_TRUE(run_until([this] { return sink.known.has_value(); }));
  EXPECT_THAT(*sink.known, IsEmpty());
  EXPECT_THAT(sink.stale, IsEmpty());
  EXPECT_EQ(source.reflectors().front()->counters().errors, 1u);
}

TEST_F(AddressPoolSourceTest, TheDefinitionMayComeLater) {
  scripts.pools.add(404, "{}");
  scripts.pools.add(200, list(pool("a", "192.0.2.1")));
  scripts.namespaces.add(200, list(kNamespace));
  start();
  EXPECT_TRUE(run_until([this] { return count() == 1; }));
}

TEST_F(AddressPoolSourceTest, ARefusalIsStalenessAndSaysNothingOfPools) {
  scripts.pools.add(403, "{}");
  scripts.namespaces.add(200, list(kNamespace));
  start();
  ASSERT_TRUE(run_until([this] { return !sink.stale.empty(); }));
  EXPECT_FALSE(sink.known);
}

TEST_F(AddressPoolSourceTest, FollowsPoolsThatChangeAndGo) {
  scripts.pools.add(200, list(pool("a", "192.0.2.1")));
  scripts.namespaces.add(200, list(kNamespace));
  scripts.pools.add_stream({event("ADDED", pool("b", "192.0.2.2"))});
  start();
  ASSERT_TRUE(run_until([this] { return count() == 2; }));
  scripts.pools.add_stream({event("DELETED", pool("a", "192.0.2.1"))});
  ASSERT_TRUE(run_until([this] { return count() == 1; }));
  EXPECT_EQ(sink.known->front().name, "b");
}

TEST_F(AddressPoolSourceTest, APoolThatCannotBeReadStaysAsItWas) {
  scripts.pools.add(200, list(pool("a", "192.0.2.1")));
  scripts.namespaces.add(200, list(kNamespace));
  scripts.pools.add_stream(
      {event("MODIFIED", pool("a", "nonsense")), event("ADDED", pool("b", "192.0.2.2"))});
  start();
  ASSERT_TRUE(run_until([this] { return count() == 2; }));
  EXPECT_TRUE(sink.known->front().contains(IpAddress::parse("192.0.2.1").value()));
  EXPECT_THAT(sink.known->front().fault, testing::HasSubstr("/spec/addresses/0 must be a range"));
  EXPECT_THAT(sink.known->back().fault, IsEmpty());
}

TEST_F(AddressPoolSourceTest, AFaultGoesWithTheObjectThatHadIt) {
  scripts.pools.add(200, list(pool("a", "nonsense")));
  scripts.namespaces.add(200, list(kNamespace));
  start();
  ASSERT_TRUE(run_until([this] { return count() == 1; }));
  EXPECT_FALSE(sink.known->front().fault.empty());
  EXPECT_THAT(sink.known->front().ranges, IsEmpty());
  scripts.pools.add_stream({event("MODIFIED", pool("a", "192.0.2.1"))});
  EXPECT_TRUE(run_until([this] { return sink.known->front().fault.empty(); }));
}

}  // namespace
}  // namespace lb::sources
