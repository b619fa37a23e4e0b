// Whichever allocation is refused while a UDP relay is told of a listener: the same call, made
// again, does the rest. An end wants no memory.
#include "tests/unit/dataplane/proxy/refused_each.hpp"
#include "tests/unit/dataplane/proxy/udp_fixture.hpp"

namespace lb::proxy {
namespace {

class UdpListenerMemoryTest : public UdpRelayTest {
 protected:
  using Sockets = std::vector<net::Fd>;

  Sockets opened() const {
    Sockets out;
    out.push_back(open_udp_listener(address_, false).value());
    return out;
  }
};

TEST_F(UdpListenerMemoryTest, ANewListenerIsServedOnceThereIsMemoryForIt) {
  const UdpSocket backend, client;
  address_ = UdpSocket().endpoint;
  Sockets sockets = opened();
  const auto wanted = config({backend.endpoint});
  (void)relay();
  const int64_t refused =
      refused_each([&] { relay().put_listener(sockets, wanted, Begins::kNow); });
  EXPECT_GT(refused, 3);
  EXPECT_LT(refused, kMost);
  EXPECT_TRUE(sockets.empty());
  EXPECT_EQ(exchange(client, backend, "x"), "re: x");
}

TEST_F(UdpListenerMemoryTest, TheSocketsAreTheCallersUntilTheListenerIsServed) {
  const UdpSocket backend;
  address_ = UdpSocket().endpoint;
  Sockets sockets = opened();
  const auto wanted = config({backend.endpoint});
  (void)relay();
  const FailingNew failing(FailingNew::kEach);
  EXPECT_THROW(relay().put_listener(sockets, wanted, Begins::kNow), std::bad_alloc);
  ASSERT_EQ(sockets.size(), 1u);
  EXPECT_TRUE(sockets[0].valid());
}

TEST_F(UdpListenerMemoryTest, SessionsHearOfAConfigurationOnceThereIsMemoryForAllOfIt) {
  const UdpSocket before, after;
  policy_.udp_idle_s = 0;
  serve({before.endpoint});
  const std::vector<UdpSocket> clients(40);
  for (const auto& each : clients) EXPECT_EQ(exchange(each, before, "x"), "re: x");
  policy_.proxy_protocol = ProxyProtocol::kV2;
  const auto wanted = config({after.endpoint});
  const int64_t refused = refused_each([&] { relay().update_listener(wanted); });
  EXPECT_GT(refused, 10) << "an introduction of each session is one";
  EXPECT_LT(refused, kMost);
  for (const auto& each : clients) each.send("y", address_);
  size_t arrived = 0;
  ASSERT_TRUE(eventually([&] {
    while (const auto packet = after.receive()) {
      EXPECT_GT(packet->text.size(), 16u) << "introduced";
      ++arrived;
    }
    return arrived == clients.size();
  }));
  EXPECT_EQ(relay().sessions(), clients.size());
}

TEST_F(UdpListenerMemoryTest, SessionsOfAListenerThatComesBackOutliveAWantOfMemory) {
  const UdpSocket backend, client;
  policy_.delete_drain_s = 60;
  policy_.udp_idle_s = 0;
  serve({backend.endpoint});
  EXPECT_EQ(exchange(client, backend, "x"), "re: x");
  relay().remove_listener(address_);
  Sockets sockets = opened();
  const auto wanted = config({backend.endpoint});
  const int64_t refused =
      refused_each([&] { relay().put_listener(sockets, wanted, Begins::kNow); });
  EXPECT_GT(refused, 1);
  EXPECT_EQ(exchange(client, backend, "y"), "re: y");
  EXPECT_EQ(counters().sessions_opened, 1u);
}

TEST_F(UdpListenerMemoryTest, ListenersEndWithoutMemory) {
  const UdpSocket backend;
  serve({backend.endpoint});
  const std::vector<UdpSocket> clients(40);
  for (const auto& each : clients) EXPECT_EQ(exchange(each, backend, "x"), "re: x");
  const UdpSocket late;
  late.send("too late", address_);
  {
    const FailingNew failing(FailingNew::kEach);
    relay().remove_listener(address_);
  }
  EXPECT_EQ(relay().sessions(), 0u);
  EXPECT_EQ(counts_->connections, 0u);
}

TEST_F(UdpListenerMemoryTest, ADrainEndsAtItsDeadlineWithoutMemory) {
  const UdpSocket backend;
  policy_.udp_idle_s = 0;
  serve({backend.endpoint});
  const std::vector<UdpSocket> clients(40);
  for (const auto& each : clients) EXPECT_EQ(exchange(each, backend, "x"), "re: x");
  const FailingNew failing(FailingNew::kEach);
  relay().drain(1'000);
  EXPECT_EQ(relay().sessions(), clients.size());
  pass_time(1'100);
  EXPECT_EQ(relay().sessions(), 0u);
}

TEST_F(UdpListenerMemoryTest, OneSessionIsEndedWithoutMemory) {
  const UdpSocket backend, client;
  serve({backend.endpoint});
  EXPECT_EQ(exchange(client, backend, "x"), "re: x");
  std::vector<Flow> flows;
  relay().list_flows({}, flows);
  ASSERT_EQ(flows.size(), 1u);
  const FailingNew failing(FailingNew::kEach);
  EXPECT_TRUE(relay().kill(flows[0].id));
  EXPECT_EQ(relay().sessions(), 0u);
}

}  // namespace
}  // namespace lb::proxy
