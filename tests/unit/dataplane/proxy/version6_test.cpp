// A listener of version 6: its clients are relayed, kept out and told of as others are.
#include "dataplane/proxy/proxy_header.hpp"
#include "tests/unit/dataplane/proxy/data_path_fixture.hpp"

namespace lb::proxy {
namespace {

const IpAddress kHere6 = *IpAddress::parse("::1");

sockaddr_in6 loopback6(uint16_t port) {
  sockaddr_in6 out{};
  out.sin6_family = AF_INET6;
  out.sin6_port = htons(port);
  out.sin6_addr = in6addr_loopback;
  return out;
}

uint16_t port_of6(const Fd& fd) {
  sockaddr_in6 address{};
  socklen_t size = sizeof address;
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin6_port);
}

// Bound to ::1; invalid where the host has no such address. As free_port() has it, it stays bound.
Fd bound6() {
  Fd fd(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const timeval limit{5, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  const auto address = loopback6(0);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fd.reset();
  return fd;
}

Fd dial6(uint16_t port) {
  Fd fd = bound6();
  const auto address = loopback6(port);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fd.reset();
  return fd;
}

std::string read_exactly(const Fd& fd, size_t size) {
  std::string out(size, '\0');
  const ssize_t got = recv(fd.get(), out.data(), size, MSG_WAITALL);
  out.resize(got < 0 ? 0 : size_t(got));
  return out;
}

class Version6Test : public DataPathTest {
 protected:
  void SetUp() override {
    DataPathTest::SetUp();
    held_ = bound6();
    if (!held_.valid()) GTEST_SKIP() << "this host has no ::1";
    port_ = port_of6(held_);
  }

  void serve_at_6(const Endpoint& backend) {
    DesiredState state{{1, ++generation_}, {}};
    ServicePort listener;
    listener.port = port_;
    listener.policy = policy_;
    Backend& only = listener.backends.emplace_back();
    only.address = backend.address;
    only.port = backend.port;
    state.services.push_back({"file/web", {kHere6}, {listener}, {}});
    ASSERT_TRUE(apply(std::move(state)).empty());
  }
  void serve_at_6(const Server& server) {
    serve_at_6({*IpAddress::parse("127.0.0.1"), server.port});
  }

  Fd held_;
};

TEST_F(Version6Test, RelaysBothWaysAndEndsInOrder) {
  Server server;
  serve_at_6(server);
  Fd client = dial6(port_);
  ASSERT_TRUE(client.valid());
  write_all(client.get(), "hello");
  shutdown(client.get(), SHUT_WR);
  {
    const Fd peer = server.accept_one();
    EXPECT_EQ(read_all(peer.get()), "hello");
    write_all(peer.get(), "welcome");
  }
  EXPECT_EQ(read_all(client.get()), "welcome");
  EXPECT_TRUE(eventually([this] { return counters().active == 0; }));
}

TEST_F(Version6Test, ABackendMayBeOfVersion6Too) {
  const Fd backend = bound6();
  ASSERT_EQ(listen(backend.get(), 8), 0);
  serve_at_6({kHere6, port_of6(backend)});
  const Fd client = dial6(port_);
  write_all(client.get(), "hello");
  const Fd peer(accept(backend.get(), nullptr, nullptr));
  EXPECT_EQ(read_exactly(peer, 5), "hello");
  const auto open = flows();
  ASSERT_EQ(open.size(), 1U);
  EXPECT_EQ(open[0].client, (Endpoint{kHere6, port_of6(client)}));
  EXPECT_EQ(open[0].backend, (Endpoint{kHere6, port_of6(backend)}));
}

TEST_F(Version6Test, SourceRangesSayWhoIsLetIn) {
  Server server;
  policy_.source_ranges = {Cidr::parse("2001:db8::/32").value(), Cidr::parse("0.0.0.0/0").value()};
  serve_at_6(server);
  EXPECT_TRUE(is_reset(dial6(port_)));
  EXPECT_EQ(counters().source_refused, 1u);
  policy_.source_ranges = {Cidr::parse("::1/128").value()};
  serve_at_6(server);
  const Fd client = dial6(port_);
  EXPECT_TRUE(server.accept_one().valid());
}

TEST_F(Version6Test, TheBackendIsToldOfTheClientByVersionTwo) {
  Server server;
  policy_.proxy_protocol = ProxyProtocol::kV2;
  serve_at_6(server);
  const Fd client = dial6(port_);
  write_all(client.get(), "data");
  const Fd peer = server.accept_one();
  const std::string header =
      encode_proxy_v2({kHere6, port_of6(client)}, {kHere6, port_}, Protocol::kTcp);
  EXPECT_EQ(read_exactly(peer, header.size() + 4), header + "data");
}

TEST_F(Version6Test, ATrustedProxySaysForWhomItSpeaks) {
  Server server;
  policy_.accept_proxy_from = {Cidr::parse("::1/128").value()};
  policy_.source_ranges = {Cidr::parse("2001:db8::/32").value()};
  serve_at_6(server);
  const Endpoint named = parse_endpoint("[2001:db8::9]:4000").value();
  const Fd client = dial6(port_);
  write_all(client.get(), encode_proxy_v2(named, {kHere6, port_}, Protocol::kTcp) + "data");
  const Fd peer = server.accept_one();
  EXPECT_EQ(read_exactly(peer, 4), "data");
  const auto open = flows();
  ASSERT_EQ(open.size(), 1U);
  EXPECT_EQ(open[0].client, named);
}

}  // namespace
}  // namespace lb::proxy
