// UDP sessions keep to the same reserve of descriptors, and to the same rule for memory.
#include <sys/resource.h>

#include "common/net/descriptors.hpp"
#include "tests/unit/dataplane/proxy/counting_new.hpp"
#include "tests/unit/dataplane/proxy/udp_fixture.hpp"

namespace lb::proxy {
namespace {

class UdpExhaustionTest : public UdpRelayTest {
 protected:
  // A turn without memory, or without the allocation of that number; whether one was refused.
  bool poll_without(int64_t number) {
    pollfd waiting{relay().descriptor(), POLLIN, 0};
    ::poll(&waiting, 1, 1000);
    const FailingNew refusing(number);
    relay().poll();
    relay().tick();
    return FailingNew::has_failed();
  }
};

TEST_F(UdpExhaustionTest, NewClientsAreRefusedAtTheLineAndKnownOnesAreServed) {
  const UdpSocket backend;
  const std::vector<UdpSocket> clients(10);
  hooks_.descriptor_line = int(net::open_descriptors()) + 2 + 6;  // its epoll set, a listener, six
  serve({backend.endpoint});
  for (const auto& client : clients) {
    client.send("x", address_);
    eventually([&] { return backend.readable() || counters().own_wants > 0; });
  }
  ASSERT_TRUE(eventually([&] { return relay().sessions() + counters().own_wants == 10; }));
  EXPECT_EQ(relay().sessions(), 5u) << "one is room for none: it counts as two";
  while (backend.receive()) {
  }
  EXPECT_EQ(exchange(clients[0], backend, "known"), "re: known");
}

TEST_F(UdpExhaustionTest, WhereASessionEndsTheNextClientIsServed) {
  const UdpSocket backend, one, two;
  hooks_.descriptor_line = int(net::open_descriptors()) + 4;
  policy_.udp_idle_s = 1;
  serve({backend.endpoint});
  EXPECT_EQ(exchange(one, backend, "a"), "re: a");
  two.send("lost", address_);
  ASSERT_TRUE(eventually([&] { return counters().own_wants == 1; }));
  pass_time(1'500);
  EXPECT_EQ(relay().sessions(), 0u);
  EXPECT_EQ(exchange(two, backend, "b"), "re: b");
}

TEST_F(UdpExhaustionTest, WantOfAPortIsNotSearchedForAgainWithEachDatagram) {
  const UdpSocket backend;
  const std::vector<UdpSocket> clients(3);
  serve({backend.endpoint});
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  clients[0].send("x", address_);
  EXPECT_TRUE(eventually([&] { return counters().own_wants == 1; }));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  clients[1].send("x", address_);
  EXPECT_TRUE(eventually([&] { return counters().own_wants == 2; })) << "it rests";
  now_ += 100;
  EXPECT_EQ(exchange(clients[2], backend, "x"), "re: x");
}

TEST_F(UdpExhaustionTest, ForWantOfMemoryOneDatagramIsDroppedAndCounted) {
  const UdpSocket backend;
  serve({backend.endpoint});
  const std::vector<UdpSocket> clients(60);  // a table of sessions grows at 32
  uint64_t refused = 0;
  int64_t number = 0;
  for (const auto& client : clients) {
    const uint64_t before = counters().own_wants;
    client.send("lost", address_);
    if (poll_without(number++ % 2)) {
      ++refused;
      EXPECT_EQ(counters().own_wants, before + 1);
    }
    while (backend.receive()) {
    }
    EXPECT_EQ(exchange(client, backend, "there"), "re: there");
  }
  std::printf("%lu allocations refused\n", static_cast<unsigned long>(refused));
  EXPECT_GT(refused, 20u);
  EXPECT_EQ(records_[0]->connections, relay().sessions());
  EXPECT_EQ(counts_->connections, relay().sessions());
}

TEST_F(UdpExhaustionTest, SessionsEndAndMoveWithoutMemory) {
  const UdpSocket backend, client;
  policy_.udp_idle_s = 1;
  serve({closed_port(), backend.endpoint});
  const std::vector<UdpSocket> clients(8);
  for (const auto& each : clients) each.send("x", address_);
  ASSERT_TRUE(eventually([&] { return relay().sessions() == 8; }));
  now_ += 2'000;
  {
    const FailingNew refusing(FailingNew::kEach);
    relay().tick();
  }
  EXPECT_EQ(relay().sessions(), 0u);
  EXPECT_EQ(counts_->connections, 0u);
}

}  // namespace
}  // namespace lb::proxy
