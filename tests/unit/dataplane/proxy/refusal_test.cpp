// By which rule a client is refused: as its service counts it, and as the log tells it.
#include "dataplane/proxy/proxy_header.hpp"
#include "tests/unit/dataplane/proxy/ended_fixture.hpp"

namespace lb::proxy {
namespace {

class RefusalTest : public EndedTest {
 protected:
  // A client that names another, through a trusted proxy.
  Fd dial_for(const char* client) {
    Fd fd = dial(port_);
    write_all(fd.get(), encode_proxy_v1(parse_endpoint(client).value(),
                                        parse_endpoint("192.0.2.1:443").value()));
    return fd;
  }
  void serve_udp(uint16_t backend) {
    ASSERT_TRUE(serve_ports({port(Protocol::kUdp, {backend})}).empty());
  }
  // It has a session once its question is there.
  void begin(UdpSocket& client, UdpSocket& backend) {
    client.send_to(port_, "first");
    ASSERT_EQ(backend.receive().first, "first");
  }
};

TEST_F(RefusalTest, OutsideTheSourceRanges) {
  Server server;
  policy_.source_ranges = {range("192.0.2.0/24")};
  serve({server.port});
  EXPECT_TRUE(is_reset(dial(port_)));
  expect_refused(Refusal::kSourceRange);
  expect_told(Refusal::kSourceRange);
}

TEST_F(RefusalTest, WithinTheDeniedRanges) {
  Server server;
  policy_.deny_ranges = {range("127.0.0.0/8")};
  serve({server.port});
  EXPECT_TRUE(is_reset(dial(port_)));
  expect_refused(Refusal::kSourceRange);
  expect_told(Refusal::kSourceRange);
}

TEST_F(RefusalTest, DatagramsFromTheDeniedRanges) {
  UdpSocket client, backend;
  policy_.deny_ranges = {range("127.0.0.0/8")};
  serve_udp(backend.port);
  client.send_to(port_, "x");
  expect_refused(Refusal::kSourceRange);
}

TEST_F(RefusalTest, AboveTheServicesConnections) {
  Server server;
  policy_.max_connections = 1;
  policy_.max_connections_per_source = 9;
  serve({server.port});
  const Fd first = dial(port_);
  const Fd peer = server.accept_one();
  EXPECT_TRUE(is_reset(dial(port_)));
  expect_refused(Refusal::kConnections);
  expect_told(Refusal::kConnections);
}

TEST_F(RefusalTest, AboveTheConnectionsOfASource) {
  Server server;
  policy_.max_connections = 9;
  policy_.max_connections_per_source = 1;
  serve({server.port});
  const Fd first = dial(port_);
  const Fd peer = server.accept_one();
  EXPECT_TRUE(is_reset(dial(port_)));
  expect_refused(Refusal::kSource);
  expect_told(Refusal::kSource);
}

TEST_F(RefusalTest, AboveTheRateOfASource) {
  Server server;
  policy_.max_rate_per_source = 1;
  policy_.max_connections_per_source = 100;
  serve({server.port});
  std::vector<Fd> clients;
  // A slow machine may let more than one in: the bucket is full again after a second.
  for (int i = 0; i < 50 && refused(Refusal::kRate) == 0; ++i) {
    clients.push_back(dial(port_));
    ASSERT_TRUE(
        eventually([&] { return totals().accepted + refused(Refusal::kRate) == clients.size(); }));
  }
  expect_refused(Refusal::kRate);
  expect_told(Refusal::kRate);
}

TEST_F(RefusalTest, WhoWasNeverLetInHasNotEnded) {
  Server server;
  policy_.source_ranges = {range("192.0.2.0/24")};
  serve({server.port});
  EXPECT_TRUE(is_reset(dial(port_)));
  expect_refused(Refusal::kSourceRange);
  EXPECT_EQ(totals().accepted, 0u);
  EXPECT_EQ(sum(totals().ended), 0u);
}

TEST_F(RefusalTest, ATrustedProxyThatSaysSomethingElse) {
  Server server;
  policy_.accept_proxy_from = {range("127.0.0.0/8")};
  serve({server.port});
  const Fd client = dial(port_);
  write_all(client.get(), "GET / HTTP/1.1\r\n");
  EXPECT_TRUE(is_reset(client));
  expect_refused(Refusal::kProxyHeader);
  expect_told(Refusal::kProxyHeader);
  expect_ended(EndReason::kRefused);
}

TEST_F(RefusalTest, ATrustedProxyThatSpeaksForSomebodyOutsideTheRanges) {
  Server server;
  policy_.accept_proxy_from = {range("127.0.0.0/8")};
  policy_.source_ranges = {range("203.0.113.0/24")};
  serve({server.port});
  EXPECT_TRUE(is_reset(dial_for("198.51.100.1:1")));
  expect_refused(Refusal::kSourceRange);
  expect_told(Refusal::kSourceRange);
  expect_ended(EndReason::kRefused);
}

TEST_F(RefusalTest, ATrustedProxyThatSpeaksForOneSourceTooOften) {
  Server server;
  policy_.accept_proxy_from = {range("127.0.0.0/8")};
  policy_.max_connections_per_source = 1;
  serve({server.port});
  const Fd first = dial_for("203.0.113.9:1"), other = dial_for("203.0.113.10:1");
  const Fd a = server.accept_one(), b = server.accept_one();
  EXPECT_TRUE(is_reset(dial_for("203.0.113.9:2")));
  expect_refused(Refusal::kSource);
  expect_told(Refusal::kSource);
}

TEST_F(RefusalTest, WhoEndsOtherwiseWasNotRefused) {
  serve({});
  EXPECT_TRUE(is_reset(dial(port_)));
  EXPECT_TRUE(eventually([this] { return !records().empty(); }));
  EXPECT_EQ(records().at(0).refusal, std::nullopt);
  EXPECT_EQ(sum(totals().refused), 0u);
}

TEST_F(RefusalTest, EveryRuleHasANameOfItsOwn) {
  std::set<std::string> names;
  for (size_t i = 0; i < kRefusals; ++i) names.insert(to_string(static_cast<Refusal>(i)));
  EXPECT_EQ(names, (std::set<std::string>{"source_range", "connections", "source", "rate",
                                          "proxy_header", "client_hello", "route", "handshake"}));
}

TEST_F(RefusalTest, DatagramsOutsideTheSourceRanges) {
  UdpSocket client, backend;
  policy_.source_ranges = {range("192.0.2.0/24")};
  serve_udp(backend.port);
  for (int i = 0; i < 3; ++i) client.send_to(port_, "x");
  expect_refused(Refusal::kSourceRange, 3);
}

TEST_F(RefusalTest, DatagramsAboveTheServicesSessions) {
  UdpSocket client, other, backend;
  policy_.max_connections = 1;
  policy_.max_connections_per_source = 9;
  serve_udp(backend.port);
  begin(client, backend);
  other.send_to(port_, "x");
  expect_refused(Refusal::kConnections);
}

TEST_F(RefusalTest, DatagramsAboveTheSessionsOfASource) {
  UdpSocket client, other, backend;
  policy_.max_connections = 9;
  policy_.max_connections_per_source = 1;
  serve_udp(backend.port);
  begin(client, backend);
  other.send_to(port_, "x");
  expect_refused(Refusal::kSource);
}

TEST_F(RefusalTest, DatagramsAboveTheRateOfASource) {
  std::vector<UdpSocket> clients(50);
  UdpSocket backend;
  policy_.max_rate_per_source = 1;
  policy_.max_connections_per_source = 100;
  serve_udp(backend.port);
  for (auto& client : clients) client.send_to(port_, "x");
  EXPECT_TRUE(eventually([&] { return refused(Refusal::kRate) + totals().accepted == 50; }));
  EXPECT_GE(refused(Refusal::kRate), 40u);
}

TEST_F(RefusalTest, ASessionThatNarrowerRangesEnd) {
  UdpSocket client, backend;
  serve_udp(backend.port);
  begin(client, backend);
  policy_.source_ranges = {range("192.0.2.0/24")};
  serve_udp(backend.port);
  expect_told(Refusal::kSourceRange);
  expect_ended(EndReason::kRefused);
}

}  // namespace
}  // namespace lb::proxy
