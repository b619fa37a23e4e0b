// Whom a connection is dialled to after a dial that failed, and what that one is blamed for.
#include <algorithm>

#include "dataplane/proxy/listener_planner.hpp"
#include "tests/unit/dataplane/proxy/counting_recv.hpp"
#include "tests/unit/dataplane/proxy/engine_fixture.hpp"
#include "tests/unit/dataplane/proxy/own_network.hpp"

namespace lb::proxy {
namespace {

Policy without_ejection() {
  Policy out;
  out.ejection = {.refused = 0, .timeouts = 0, .seconds = 1};
  return out;
}

Endpoint at(const char* address, uint16_t port) { return {*IpAddress::parse(address), port}; }

// Thirty backends in the order of their ports, of which the ten in the middle refuse.
struct Rack {
  explicit Rack(Engine& relay, std::vector<uint32_t> nodes = {}) {
    for (int i = 0; i < 30; ++i) servers.push_back(std::make_unique<Server>());
    std::sort(servers.begin(), servers.end(),
              [](const auto& a, const auto& b) { return a->port < b->port; });
    std::vector<Endpoint> backends;
    for (const auto& server : servers) backends.push_back(at("127.0.0.1", server->port));
    for (size_t i = 10; i < 20; ++i) servers[i]->fd.reset();
    relay.serve_at(backends, without_ejection(), 0, std::move(nodes));
  }
  std::vector<std::unique_ptr<Server>> servers;
};

// How many of so many clients found nobody.
uint64_t failures(Engine& relay, int clients) {
  for (int i = 0; i < clients; ++i) {
    const Fd client = relay.dial();
    EXPECT_TRUE(relay.works_until(
        [&] { return relay.count(&EngineCounters::accepted) == uint64_t(i) + 1; }));
    relay.work(1);
  }
  return relay.count(&EngineCounters::no_backend);
}

TEST(Retry, DoesNotWalkAlongARowOfDeadNeighbours) {
  Engine relay;
  const Rack rack(relay);
  // In turn every fourth client would find nobody; by chance 3 of 100 do.
  EXPECT_LT(failures(relay, 300), 27U);
  EXPECT_GE(relay.count(&EngineCounters::retries), 90U);
}

TEST(Retry, FindsSomebodyAlwaysWhenTheDeadAreOfOneNode) {
  std::vector<uint32_t> nodes;
  for (uint32_t i = 0; i < 30; ++i) nodes.push_back(1 + i / 10);
  Engine relay;
  const Rack rack(relay, nodes);
  EXPECT_EQ(failures(relay, 120), 0U);
  EXPECT_EQ(relay.count(&EngineCounters::retries), 40U) << "one for each that met a dead one";
}

TEST(Retry, ThePlanKnowsTheNodes) {
  ServicePort port;
  port.port = 80;
  for (const char* node : {"a", "b", "", "a"}) {
    Backend& backend = port.backends.emplace_back();
    backend.address = IpAddress::v4(0x0a000001 + uint32_t(port.backends.size()));
    backend.port = 80;
    backend.node = node;
  }
  const auto planned = [](const ServicePort& served) {
    DesiredState state{{1, 1}, {}};
    Service service{"file/web", {*IpAddress::parse("127.0.0.1")}, {}, {}};
    service.ports.push_back(served);
    state.services.push_back(service);
    ListenerPlanner planner(1);
    const auto ids = planner.plan(std::make_shared<DesiredState>(state), 1);
    return planner.planned().at(*ids.begin()).config->nodes;
  };
  EXPECT_EQ(planned(port), (std::vector<uint32_t>{1, 2, 0, 1}));
  for (Backend& backend : port.backends) backend.node.clear();
  EXPECT_TRUE(planned(port).empty());
}

TEST(Retry, ABackendToWhichNoWayLeadsIsEjected) {
  const OwnNetwork network;
  if (!network.made()) GTEST_SKIP() << "needs CAP_SYS_ADMIN";
  const Server well;
  Engine relay;
  relay.serve_at({at("10.9.9.1", 80), at("127.0.0.1", well.port)}, {});
  for (int i = 0; i < 12; ++i) {
    const Fd client = relay.dial();
    relay.work();
  }
  EXPECT_EQ(relay.count(&EngineCounters::connect_errors), 3U) << "none after the ejection";
  EXPECT_EQ(relay.count(&EngineCounters::ejections), 1U);
  EXPECT_EQ(relay.count(&EngineCounters::no_backend), 0U);
  EXPECT_STREQ(reason(relay.listener->records[0]->ejected), "Unreachable");
  EXPECT_FALSE(relay.listener->records[1]->out());
}

TEST(Retry, ItIsNotWhereThePolicyNeverEjects) {
  const OwnNetwork network;
  if (!network.made()) GTEST_SKIP() << "needs CAP_SYS_ADMIN";
  Engine relay;
  relay.serve_at({at("10.9.9.1", 80)}, without_ejection());
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(relay.dial().valid());
  relay.work();
  EXPECT_EQ(relay.count(&EngineCounters::connect_errors), 5U);
  EXPECT_EQ(relay.count(&EngineCounters::ejections), 0U);
}

// The end of the socket that was refused is not that of the next one.
TEST(Retry, ReadsTheNextBackendAsItWouldTheFirst) {
  Server well;
  Engine relay;
  relay.serve({free_port(), well.port}, without_ejection());
  const Fd client = relay.dial();
  relay.work();
  ASSERT_EQ(relay.count(&EngineCounters::refused), 1U);
  const Fd backend = well.accept_one();
  const uint64_t before = recv_calls();
  for (int i = 0; i < 10; ++i) {
    write_all(backend.get(), "x");
    relay.work(5);
  }
  EXPECT_EQ(recv_calls() - before, 10U) << "no second one to learn that nothing is left";
}

}  // namespace
}  // namespace lb::proxy
