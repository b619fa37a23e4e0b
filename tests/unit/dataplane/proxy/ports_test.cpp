// Out of local ports, in a network of the test's own with sixteen of them.
#include <sys/socket.h>

#include "tests/unit/dataplane/proxy/engine_fixture.hpp"
#include "tests/unit/dataplane/proxy/in_child.hpp"

namespace lb::proxy {
namespace {

constexpr int kFirst = 20'000, kPorts = 16;
constexpr uint16_t kListener = 9100;

// Clients have addresses of their own each, so that only our dials run out.
Fd dial_from(int number, uint16_t port) {
  Fd fd(socket(AF_INET, SOCK_STREAM, 0));
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  sockaddr_in from = loopback(0);
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 256 + uint32_t(number));
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&from), sizeof from), 0);
  const auto to = loopback(port);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0)
      << std::strerror(errno);
  return fd;
}

struct Flood {
  Flood(Engine& engine, int clients) {
    for (int i = 0; i < clients; ++i) {
      all.push_back(dial_from(i, engine.listener->address.port));
      engine.work(1);
    }
    engine.work();
  }
  std::vector<Fd> all;
};

void with_few_ports(const std::function<void()>& test) {
  EXPECT_TRUE(in_child([&] {
    if (!enter_own_network() || !set_port_range(kFirst, kFirst + kPorts - 1)) {
      std::printf("left out: no network of its own is allowed here\n");
      return;
    }
    test();
  }));
}

// A port outside the range, so that dials do not lack it.
Server server_at(uint16_t port) {
  Server out;
  Fd fd(socket(AF_INET, SOCK_STREAM, 0));
  const auto where = loopback(port);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where), 0);
  EXPECT_EQ(listen(fd.get(), 512), 0);
  out.fd = std::move(fd);
  out.port = port;
  return out;
}

TEST(Ports, ADialWithoutAPortIsOurWantAndTheClientIsResetAtOnce) {
  with_few_ports([] {
    const Server server = server_at(9000);
    Engine engine;
    engine.serve({server.port}, {}, kListener);
    const Flood flood(engine, kPorts + 5);
    EXPECT_EQ(engine.engine.sessions(), size_t(kPorts));
    EXPECT_EQ(engine.count(&EngineCounters::no_port), 5u);
    EXPECT_EQ(engine.listener->counts->stats.at(0)->ended[size_t(EndReason::kExhausted)], 5u);
    for (int i = kPorts; i < kPorts + 5; ++i) EXPECT_TRUE(is_reset(flood.all[size_t(i)]));
    EXPECT_EQ(engine.count(&EngineCounters::connect_errors), 0u);
    EXPECT_EQ(engine.count(&EngineCounters::no_backend), 0u);
    EXPECT_EQ(engine.count(&EngineCounters::ejections), 0u);
    EXPECT_FALSE(engine.listener->records[0]->out());
  });
}

TEST(Ports, AnotherBackendHasPortsOfItsOwn) {
  with_few_ports([] {
    const Server one = server_at(9000), two = server_at(9001);
    Engine engine;
    engine.serve({one.port, two.port}, {}, kListener);
    const Flood flood(engine, 2 * kPorts + 1);
    EXPECT_EQ(engine.engine.sessions(), size_t(2 * kPorts));
    EXPECT_TRUE(is_reset(flood.all.back()));
  });
}

TEST(Ports, SpareSourcesAreUsedInOrder) {
  with_few_ports([] {
    const Server server = server_at(9000);
    EngineHooks hooks;
    hooks.spare_sources = std::make_shared<SpareSources>(
        std::vector{*IpAddress::parse("::1"), *IpAddress::parse("127.0.0.2"),
                    *IpAddress::parse("192.0.2.7"), *IpAddress::parse("127.0.0.3")});
    Engine engine(hooks);
    engine.serve({server.port}, {}, kListener);
    const Flood flood(engine, 3 * kPorts + 1);
    EXPECT_EQ(engine.engine.sessions(), size_t(3 * kPorts)) << "one of them is not ours";
    EXPECT_EQ(engine.count(&EngineCounters::spare_source_dials), uint64_t(2 * kPorts));
    EXPECT_EQ(engine.count(&EngineCounters::no_port), 1u);
  });
}

TEST(Ports, ASpareSourceIsPassedOverForAsLongAsItIsAnnounced) {
  with_few_ports([] {
    const Server server = server_at(9000);
    const IpAddress two = *IpAddress::parse("127.0.0.2"), three = *IpAddress::parse("127.0.0.3");
    const auto sources = std::make_shared<SpareSources>(std::vector{two, three});
    EngineHooks hooks;
    hooks.spare_sources = sources;
    Engine engine(hooks);
    engine.serve({server.port}, {}, kListener);
    sources->avoid({two}, {});
    const Flood flood(engine, 2 * kPorts + 1);
    EXPECT_EQ(engine.engine.sessions(), size_t(2 * kPorts)) << "none from 127.0.0.2";
    EXPECT_EQ(engine.count(&EngineCounters::no_port), 1u);
    sources->avoid({}, {});
    const Fd late = dial_from(200, kListener);
    engine.work();
    EXPECT_EQ(engine.engine.sessions(), size_t(2 * kPorts + 1)) << "used again at once";
  });
}

TEST(Ports, APortThatIsFreeAgainIsUsed) {
  with_few_ports([] {
    const Server server = server_at(9000);
    Engine engine;
    engine.serve({server.port}, {}, kListener);
    Flood flood(engine, kPorts + 1);
    ASSERT_EQ(engine.count(&EngineCounters::no_port), 1u);
    reset(flood.all[0]);
    int tries = 0;
    std::vector<Fd> later;
    EXPECT_TRUE(engine.works_until([&] {
      later.push_back(dial_from(100 + tries++ % 150, engine.listener->address.port));
      engine.work(5);
      return engine.engine.sessions() == size_t(kPorts);
    }));
  });
}

TEST(Ports, WantOfPortsIsRememberedForTwoHundredMillisecondsAtMost) {
  static_assert(DialPorts::kRestMs <= 200);
  with_few_ports([] {
    const Server server = server_at(9000);
    const Endpoint backend{*IpAddress::parse("127.0.0.1"), server.port};
    DialPorts ports;
    std::vector<Fd> held;
    for (int i = 0; i < kPorts; ++i) held.push_back(ports.connect(backend, 0, 1000));
    EXPECT_TRUE(held.back().valid());
    EXPECT_FALSE(ports.connect(backend, 0, 1000).valid());
    EXPECT_EQ(errno, EADDRNOTAVAIL);
    reset(held.back());
    EXPECT_FALSE(ports.connect(backend, 0, 1000 + DialPorts::kRestMs - 1).valid())
        << "not searched for again so soon";
    EXPECT_EQ(errno, EADDRNOTAVAIL);
    EXPECT_TRUE(ports.connect(backend, 0, 1000 + DialPorts::kRestMs).valid());
  });
}

}  // namespace
}  // namespace lb::proxy
