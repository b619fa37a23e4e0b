// UDP through the whole byte path: beside TCP on one port number, status, drain and change.
#include "tests/unit/dataplane/proxy/udp_path_fixture.hpp"

namespace lb::proxy {
namespace {

TEST_F(UdpPathTest, AnswersComeFromTheAddressThatWasAsked) {
  UdpSocket backend, client;
  ASSERT_TRUE(serve_ports({port(Protocol::kUdp, {backend.port})}).empty());
  client.send_to(port_, "question");
  const auto [question, from] = backend.receive();
  EXPECT_EQ(question, "question");
  backend.send_to(from, "answer");
  EXPECT_EQ(client.receive(), std::pair(std::string("answer"), port_));
  EXPECT_EQ(counters().udp_opened, 1u);
}

TEST_F(UdpPathTest, SharesAPortNumberWithTcp) {
  UdpSocket backend, client;
  Server server;
  ASSERT_TRUE(
      serve_ports({port(Protocol::kTcp, {server.port}), port(Protocol::kUdp, {backend.port})})
          .empty());
  client.send_to(port_, "by datagram");
  EXPECT_EQ(backend.receive().first, "by datagram");
  const Fd stream = dial(port_);
  EXPECT_TRUE(server.accept_one().valid());
  on_control([&] { EXPECT_EQ(path_->listening().size(), 2u); });
}

TEST_F(UdpPathTest, ARemovedBackendsSessionsGoOnWithAnother) {
  UdpSocket first, second, client;
  serve_ports({port(Protocol::kUdp, {first.port})});
  client.send_to(port_, "1");
  ASSERT_EQ(first.receive().first, "1");
  serve_ports({port(Protocol::kUdp, {second.port})});
  client.send_to(port_, "2");
  EXPECT_EQ(second.receive().first, "2");
  EXPECT_EQ(counters().udp_moved, 1u);
}

TEST_F(UdpPathTest, SaysWhenThePortIsTaken) {
  UdpSocket occupant;
  port_ = occupant.port;
  const auto failed = serve_ports({port(Protocol::kUdp, {})});
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].reason, "AddressInUse");
  EXPECT_EQ(failed[0].protocol, Protocol::kUdp);
}

TEST_F(UdpPathTest, StatusCountsSessions) {
  UdpSocket backend, client;
  serve_ports({port(Protocol::kUdp, {backend.port})});
  client.send_to(port_, "x");
  ASSERT_EQ(backend.receive().first, "x");
  EXPECT_EQ(port_status().connections, 1u);
  EXPECT_EQ(port_status().backends.at(0).connections, 1u);
}

TEST_F(UdpPathTest, AnEjectedBackendIsTriedAgainWhenItsTimeIsOver) {
  policy_.ejection = {.refused = 1, .timeouts = 1, .seconds = 1};
  uint16_t closed = 0;
  { closed = UdpSocket().port; }
  UdpSocket backend, client;
  serve_ports({port(Protocol::kUdp, {closed, backend.port})});
  EXPECT_TRUE(eventually([&] {
    UdpSocket other;
    other.send_to(port_, "x");
    return counters().ejections == 1;
  }));
  EXPECT_TRUE(eventually([&] { return counters().readmissions >= 1; }));
}

TEST_F(UdpPathTest, AListenerThatDrainsMayComeBack) {
  UdpSocket backend, client;
  policy_.delete_drain_s = 60;
  serve_ports({port(Protocol::kUdp, {backend.port})});
  client.send_to(port_, "1");
  ASSERT_EQ(backend.receive().first, "1");
  apply({{1, 98}, {}});
  generation_ = 98;
  EXPECT_TRUE(serve_ports({port(Protocol::kUdp, {backend.port})}).empty());
  client.send_to(port_, "2");
  EXPECT_EQ(backend.receive().first, "2");
}

}  // namespace
}  // namespace lb::proxy
