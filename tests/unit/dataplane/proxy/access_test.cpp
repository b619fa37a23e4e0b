// Who is let in, how many, to whom again, and what the backend is told of the client.
#include <netinet/tcp.h>
#include <poll.h>

#include "dataplane/proxy/proxy_header.hpp"
#include "tests/unit/dataplane/proxy/data_path_fixture.hpp"

namespace lb::proxy {
namespace {

using AccessTest = DataPathTest;

Endpoint at(const char* text) { return parse_endpoint(text).value(); }
Cidr range(const char* text) { return Cidr::parse(text).value(); }

std::string read_exactly(const Fd& fd, size_t size) {
  std::string out(size, '\0');
  const ssize_t got = recv(fd.get(), out.data(), size, MSG_WAITALL);
  out.resize(got < 0 ? 0 : size_t(got));
  return out;
}

TEST_F(AccessTest, AboveTheServicesLimitAClientIsReset) {
  Server server;
  policy_.max_connections = 2;
  serve({server.port});
  // One after the other: two workers may dial in another order than the clients did.
  Fd first = dial(port_);
  Fd a = server.accept_one();
  const Fd second = dial(port_);
  const Fd b = server.accept_one();
  EXPECT_TRUE(is_reset(dial(port_)));
  EXPECT_EQ(counters().limit_refused, 1u);
  first.reset();
  a.reset();
  EXPECT_TRUE(eventually([this] { return port_status().connections == 1; }));
  const Fd again = dial(port_);
  EXPECT_TRUE(server.accept_one().valid());
}

TEST_F(AccessTest, AboveTheSourcesLimitAClientIsResetWhicheverWorkerItMeets) {
  Server server;
  policy_.max_connections_per_source = 3;
  serve({server.port});
  std::vector<Fd> clients, peers;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(dial(port_));
    peers.push_back(server.accept_one());
  }
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(is_reset(dial(port_)));
  EXPECT_EQ(counters().limit_refused, 5u);
  clients.pop_back();
  peers.pop_back();
  EXPECT_TRUE(eventually([this] { return port_status().connections == 2; }));
  const Fd again = dial(port_);
  EXPECT_TRUE(server.accept_one().valid());
}

TEST_F(AccessTest, ASourceThatComesTooFastIsReset) {
  Server server;
  policy_.max_rate_per_source = 2;
  serve({server.port});
  int refused = 0;
  for (int i = 0; i < 10; ++i) {
    const Fd client = dial(port_);
    const timeval brief{0, 50'000};
    setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief);
    refused += is_reset(client);
  }
  EXPECT_GE(refused, 5);
  EXPECT_EQ(counters().limit_refused, uint64_t(refused));
}

// Which of two it is that has a first client, and remembers it.
Server& first_taken(uint16_t port, Server& one, Server& two) {
  const Fd first = dial(port);
  write_all(first.get(), "x");
  pollfd both[] = {{one.fd.get(), POLLIN, 0}, {two.fd.get(), POLLIN, 0}};
  EXPECT_GE(poll(both, 2, 5'000), 1);
  Server& mine = (both[0].revents & POLLIN) != 0 ? one : two;
  // Its byte is passed on only after its backend is remembered.
  const Fd peer = mine.accept_one();
  EXPECT_EQ(read_exactly(peer, 1), "x");
  return mine;
}

TEST_F(AccessTest, AClientComesBackToItsBackend) {
  Server one, two;
  policy_.affinity_seconds = 60;
  serve({one.port, two.port});
  Server& mine = first_taken(port_, one, two);
  for (int i = 0; i < 8; ++i) {
    const Fd client = dial(port_);
    EXPECT_TRUE(mine.accept_one().valid());
  }
}

TEST_F(AccessTest, AffinityOutlivesChangesOfOtherBackends) {
  Server one, two, three;
  policy_.affinity_seconds = 60;
  serve({one.port, two.port});
  Server& mine = first_taken(port_, one, two);
  for (const std::vector<uint16_t>& backends :
       {std::vector{three.port, one.port, two.port}, std::vector{one.port, two.port}}) {
    serve(backends);
    for (int i = 0; i < 8; ++i) {
      const Fd client = dial(port_);
      EXPECT_TRUE(mine.accept_one().valid()) << "of " << backends.size();
    }
  }
}

TEST_F(AccessTest, AffinityDoesNotHoldToABackendThatIsGone) {
  Server one, two;
  policy_.affinity_seconds = 60;
  serve({one.port});
  const Fd first = dial(port_);
  ASSERT_TRUE(one.accept_one().valid());
  serve({two.port});
  const Fd second = dial(port_);
  EXPECT_TRUE(two.accept_one().valid());
}

TEST_F(AccessTest, TellsTheBackendByVersionOne) {
  Server server;
  policy_.proxy_protocol = ProxyProtocol::kV1;
  serve({server.port});
  const Fd client = dial(port_);
  write_all(client.get(), "hello");
  const Fd peer = server.accept_one();
  const std::string header = encode_proxy_v1({at("127.0.0.1:1").address, port_of(client.get())},
                                             {at("127.0.0.1:1").address, port_});
  EXPECT_EQ(read_exactly(peer, header.size() + 5), header + "hello");
}

TEST_F(AccessTest, TellsTheBackendByVersionTwoBeforeAServerThatSpeaksFirstIsAnswered) {
  Server server;
  policy_.proxy_protocol = ProxyProtocol::kV2;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  const std::string header = encode_proxy_v2({at("127.0.0.1:1").address, port_of(client.get())},
                                             {at("127.0.0.1:1").address, port_}, Protocol::kTcp);
  EXPECT_EQ(read_exactly(peer, header.size()), header);
  write_all(peer.get(), "220");
  EXPECT_EQ(read_exactly(client, 3), "220");
}

TEST_F(AccessTest, ATrustedProxySaysForWhomItSpeaks) {
  Server server;
  policy_.accept_proxy_from = {range("127.0.0.0/8")};
  policy_.proxy_protocol = ProxyProtocol::kV1;
  policy_.source_ranges = {range("203.0.113.0/24")};
  serve({server.port});
  const Fd client = dial(port_);
  write_all(client.get(),
            encode_proxy_v2(at("203.0.113.9:4000"), at("192.0.2.1:443"), Protocol::kTcp) + "data");
  const Fd peer = server.accept_one();
  const std::string header = encode_proxy_v1(at("203.0.113.9:4000"), at("192.0.2.1:443"));
  EXPECT_EQ(read_exactly(peer, header.size() + 4), header + "data");
}

TEST_F(AccessTest, TheHeaderMayComeInPieces) {
  Server server;
  policy_.accept_proxy_from = {range("127.0.0.1")};
  serve({server.port});
  const Fd client = dial(port_);
  const std::string all = encode_proxy_v1(at("203.0.113.9:4000"), at("192.0.2.1:443")) + "data";
  const int on = 1;
  setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  for (const char byte : all) write_all(client.get(), std::string(1, byte));
  const Fd peer = server.accept_one();
  EXPECT_EQ(read_exactly(peer, 4), "data");
}

TEST_F(AccessTest, TheRangesApplyToWhomATrustedProxyNames) {
  Server server;
  policy_.accept_proxy_from = {range("127.0.0.0/8")};
  policy_.source_ranges = {range("203.0.113.0/24")};
  serve({server.port});
  const Fd client = dial(port_);
  write_all(client.get(), encode_proxy_v1(at("198.51.100.1:1"), at("192.0.2.1:443")));
  EXPECT_TRUE(is_reset(client));
  EXPECT_EQ(counters().source_refused, 1u);
}

TEST_F(AccessTest, ATrustedProxyThatSaysSomethingElseIsReset) {
  Server server;
  policy_.accept_proxy_from = {range("127.0.0.0/8")};
  serve({server.port});
  const Fd client = dial(port_);
  write_all(client.get(), "GET / HTTP/1.1\r\n");
  EXPECT_TRUE(is_reset(client));
  EXPECT_EQ(counters().proxy_headers_refused, 1u);
}

TEST_F(AccessTest, AHeaderThatEndsHalfwayIsRefusedAtOnce) {
  Server server;
  policy_.accept_proxy_from = {range("127.0.0.0/8")};
  serve({server.port});
  for (const char* half : {"PRO", "PROXY TCP4 192.0.2.1 "}) {
    const Fd client = dial(port_);
    write_all(client.get(), half);
    shutdown(client.get(), SHUT_WR);
    pollfd end{client.get(), POLLIN, 0};
    EXPECT_EQ(poll(&end, 1, 3000), 1) << half << ": longer than it would take to wait for more";
    EXPECT_TRUE(is_reset(client));
  }
  EXPECT_EQ(counters().proxy_headers_refused, 2u);
}

TEST_F(AccessTest, AHeaderFromElsewhereIsJustBytes) {
  Server server;
  policy_.accept_proxy_from = {range("203.0.113.0/24")};
  serve({server.port});
  const Fd client = dial(port_);
  const std::string header = encode_proxy_v1(at("10.0.0.1:1"), at("10.0.0.2:2"));
  write_all(client.get(), header);
  const Fd peer = server.accept_one();
  EXPECT_EQ(read_exactly(peer, header.size()), header);
}

}  // namespace
}  // namespace lb::proxy
