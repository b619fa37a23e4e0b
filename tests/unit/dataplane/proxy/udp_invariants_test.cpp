// What holds of a UDP relay whatever happens: the books balance, and a datagram costs no heap work.
#include <random>

#include "tests/unit/dataplane/proxy/counting_new.hpp"
#include "tests/unit/dataplane/proxy/udp_fixture.hpp"

namespace lb::proxy {
namespace {

class UdpInvariantsTest : public UdpRelayTest {
 protected:
  uint64_t allocations_of_a_poll() {
    const uint64_t before = allocations();
    pollfd waiting{relay().descriptor(), POLLIN, 0};
    ::poll(&waiting, 1, 5000);
    while (relay().poll()) {
    }
    return allocations() - before;
  }
};

TEST_F(UdpInvariantsTest, ADatagramOfAKnownClientCostsNoHeapWork) {
  const std::vector<UdpSocket> clients(10);
  const UdpSocket backend;
  serve({backend.endpoint});
  std::vector<Endpoint> sessions;
  for (const auto& client : clients) {
    client.send("x", address_);
    sessions.push_back(next(backend).from);
  }
  for (int round = 0; round < 50; ++round) {
    for (const auto& client : clients) {
      for (int i = 0; i < 5; ++i) client.send("question", address_);
    }
    EXPECT_EQ(allocations_of_a_poll(), 0u);
    for (const auto& session : sessions) backend.send("answer", session);
    EXPECT_EQ(allocations_of_a_poll(), 0u);
  }
  EXPECT_EQ(counters().datagrams_in, 2510u);
  EXPECT_EQ(counters().datagrams_out, 500u);
}

TEST_F(UdpInvariantsTest, ADatagramWithItsIntroductionCostsNoHeapWork) {
  const UdpSocket client, backend;
  policy_.proxy_protocol = ProxyProtocol::kV2;
  serve({backend.endpoint});
  client.send("x", address_);
  next(backend);
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 5; ++i) client.send("question", address_);
    EXPECT_EQ(allocations_of_a_poll(), 0u);
  }
}

TEST_F(UdpInvariantsTest, ARefusedDatagramCostsNoHeapWork) {
  const std::vector<UdpSocket> clients(20);
  const UdpSocket known, backend;
  policy_.max_connections_per_source = 1;
  serve({backend.endpoint});
  exchange(known, backend, "x");
  for (int round = 0; round < 20; ++round) {
    for (const auto& client : clients) client.send("x", address_);
    EXPECT_EQ(allocations_of_a_poll(), 0u);
  }
  EXPECT_EQ(counters().limit_refused, 400u);
}

TEST_F(UdpInvariantsTest, TheWheelIsNotTouchedByADatagram) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  exchange(client, backend, "x");
  const uint64_t wake = relay().next_tick();
  for (int i = 0; i < 5; ++i) {
    now_ += 100;
    exchange(client, backend, "x");
    EXPECT_EQ(relay().next_tick(), wake);
  }
}

// Everything at once and in any order: clients ask, backends answer, close and come back, come and
// leave, time passes. At the end nothing is left and every datagram has been counted once.
TEST_F(UdpInvariantsTest, TheBooksBalanceWhateverHappens) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  hooks_.session_limit = 30;
  const std::vector<UdpSocket> clients(40);
  std::vector<std::unique_ptr<UdpSocket>> backends;
  std::vector<Endpoint> endpoints;
  for (int i = 0; i < 5; ++i) {
    backends.push_back(std::make_unique<UdpSocket>("127.0.0.9"));
    endpoints.push_back(backends.back()->endpoint);
  }
  serve(endpoints);
  uint64_t sent = 0;
  for (int step = 0; step < 2000; ++step) {
    const size_t which = random() % 5;
    switch (random() % 16) {
      case 0: {
        std::vector<Endpoint> some;
        for (const auto& each : endpoints) {
          if (random() % 3 != 0) some.push_back(each);
        }
        update(some);
        break;
      }
      case 1:
        backends[which].reset();
        break;
      case 2:
      case 3:
        if (!backends[which]) backends[which] = std::make_unique<UdpSocket>(endpoints[which]);
        break;
      case 4:
        pass_time(random() % 30'000);
        break;
      case 5:
        record(endpoints[which])->readmit(now_);
        break;
      default:
        const size_t burst = random() % 8;
        const auto& client = clients[random() % clients.size()];
        for (size_t i = 0; i < burst; ++i) client.send(std::string(random() % 3, 'x'), address_);
        sent += burst;
    }
    relay().poll();
    for (const auto& backend : backends) {
      if (!backend) continue;
      while (const auto packet = backend->receive()) backend->send(packet->text, packet->from);
    }
    for (const auto& client : clients) {
      while (client.receive()) {
      }
    }
    uint64_t connections = 0;
    for (const auto& each : records_) connections += each->connections;
    ASSERT_EQ(connections, relay().sessions()) << "step " << step;
    ASSERT_EQ(counts_->connections, relay().sessions()) << "step " << step;
  }
  while (relay().poll()) {
  }
  const auto& all = counters();
  EXPECT_EQ(all.datagrams_in + all.no_backend + all.session_limit + all.refused_twice, sent);
  EXPECT_EQ(all.send_failed + all.own_wants + all.send_full + all.unreachable, 0u);
  EXPECT_GT(all.moved, 0u);
  EXPECT_GT(all.resent, 0u);
  EXPECT_GT(all.idle_timeouts, 0u);
  relay().reset_everything();
  EXPECT_EQ(all.sessions_opened, all.sessions_closed);
  for (const auto& each : records_) EXPECT_EQ(each->connections, 0u);
}

}  // namespace
}  // namespace lb::proxy
