// Families, wildcards, sizes and shared ports: what a UDP relay makes of addresses and datagrams.
#include "tests/unit/dataplane/proxy/udp_fixture.hpp"

namespace lb::proxy {
namespace {

using UdpAddressesTest = UdpRelayTest;

TEST_F(UdpAddressesTest, AWildcardListenerAnswersFromTheAddressThatWasAsked) {
  const UdpSocket client, backend;
  serve_at("0.0.0.0", {backend.endpoint});
  const Endpoint asked = at("127.0.0.5", address_.port);
  client.send("x", asked);
  backend.send("y", next(backend).from);
  EXPECT_EQ(next(client).from, asked);
}

TEST_F(UdpAddressesTest, LeavesFromTheSourceThatItsBackendIsGiven) {
  const UdpSocket client, backend;
  record(backend.endpoint)->source_v4 = 0x7f000106;
  serve({backend.endpoint});
  client.send("x", address_);
  EXPECT_EQ(next(backend).from.address, IpAddress::parse("127.0.1.6").value());
}

TEST_F(UdpAddressesTest, ASourceThatIsGoneIsNoReasonNotToServe) {
  const UdpSocket client, backend;
  record(backend.endpoint)->source_v4 = 0xc0000201;
  serve({backend.endpoint});
  EXPECT_EQ(exchange(client, backend, "x"), "re: x");
}

TEST_F(UdpAddressesTest, OnAWildcardEachAddressThatIsAskedIsASession) {
  const UdpSocket client, backend;
  serve_at("0.0.0.0", {backend.endpoint});
  for (const std::string address : {"127.0.0.5", "127.0.0.6", "127.0.0.5"}) {
    const Endpoint asked = at(address, address_.port);
    client.send(address, asked);
    const Packet question = next(backend);
    EXPECT_EQ(question.text, address);
    backend.send("y", question.from);
    EXPECT_EQ(next(client).from, asked);
  }
  EXPECT_EQ(counters().sessions_opened, 2u);
}

TEST_F(UdpAddressesTest, AWildcardOfIpv6AnswersFromTheAddressThatWasAsked) {
  const UdpSocket client("::1"), backend;
  serve_at("::", {backend.endpoint});
  const Endpoint asked = at("::1", address_.port);
  client.send("x", asked);
  backend.send("y", next(backend).from);
  EXPECT_EQ(next(client).from, asked);
}

TEST_F(UdpAddressesTest, AWildcardOfIpv6LeavesIpv4Alone) {
  const UdpSocket backend;
  serve_at("::", {backend.endpoint});
  EXPECT_TRUE(probe_udp_port(at("0.0.0.0", address_.port), false).ok());
}

TEST_F(UdpAddressesTest, CarriesIpv6) {
  const UdpSocket client("::1"), backend("::1");
  serve_at("::1", {backend.endpoint});
  EXPECT_EQ(exchange(client, backend, "six"), "re: six");
}

TEST_F(UdpAddressesTest, AnIpv6ClientMayHaveAnIpv4Backend) {
  const UdpSocket client("::1"), backend;
  serve_at("::1", {backend.endpoint});
  EXPECT_EQ(exchange(client, backend, "down"), "re: down");
}

TEST_F(UdpAddressesTest, AnIpv4ClientMayHaveAnIpv6Backend) {
  const UdpSocket client, backend("::1");
  serve({backend.endpoint});
  EXPECT_EQ(exchange(client, backend, "up"), "re: up");
}

TEST_F(UdpAddressesTest, SourceRangesHoldForIpv6) {
  const UdpSocket client("::1"), backend;
  policy_.source_ranges = {Cidr::parse("2001:db8::/32").value(), Cidr::parse("0.0.0.0/0").value()};
  serve_at("::1", {backend.endpoint});
  client.send("x", address_);
  EXPECT_TRUE(reaches(counters().source_refused, 1));
}

TEST_F(UdpAddressesTest, PassesTheLargestDatagramWhole) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  std::string large(65'507, 'x');
  for (size_t i = 0; i < large.size(); ++i) large[i] = char(i * 31 >> 3);
  client.send(large, address_);
  const Packet asked = next(backend);
  EXPECT_EQ(asked.text.size(), large.size());
  EXPECT_TRUE(asked.text == large);
  backend.send(large, asked.from);
  EXPECT_TRUE(text_at(client) == large);
  EXPECT_EQ(counters().truncated, 0u);
}

TEST_F(UdpAddressesTest, PassesEverySizeNextToThatOfAnEthernetFrame) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  for (size_t size = 1465; size <= 1480; ++size) client.send(std::string(size, 'x'), address_);
  for (size_t size = 1465; size <= 1480; ++size) EXPECT_EQ(text_at(backend).size(), size);
}

TEST_F(UdpAddressesTest, WhatTheOtherFamilyCannotCarryIsDroppedAndCounted) {
  const UdpSocket client("::1"), backend;
  serve_at("::1", {backend.endpoint});
  client.send(std::string(65'520, 'x'), address_);
  EXPECT_TRUE(reaches(counters().too_large, 1));
  EXPECT_EQ(exchange(client, backend, "smaller"), "re: smaller");
}

TEST_F(UdpAddressesTest, APortIsFreeUntilSomebodyHoldsIt) {
  const Endpoint where = closed_port();
  EXPECT_TRUE(probe_udp_port(where, false).ok());
  const auto listener = open_udp_listener(where, false);
  ASSERT_TRUE(listener.ok());
  const auto taken = probe_udp_port(where, false);
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, "AddressInUse");
}

TEST_F(UdpAddressesTest, OnlyAFreeBindTakesAnAddressThatIsNotHere) {
  const Endpoint four = at("192.0.2.77", 5353), six = at("2001:db8::77", 5353);
  for (const Endpoint& where : {four, six}) {
    const auto refused = open_udp_listener(where, false);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, "AddressNotLocal");
    EXPECT_TRUE(probe_udp_port(where, true).ok());
    EXPECT_TRUE(open_udp_listener(where, true).ok());
  }
}

TEST_F(UdpAddressesTest, TwoWorkersKeepEachClientWithOneOfThem) {
  const std::vector<UdpSocket> clients(64);
  const UdpSocket backend;
  serve({backend.endpoint});
  UdpRelay other(1, hooks_);
  other.add_listener(open_udp_listener(address_, false).value(), config({backend.endpoint}));
  uint64_t passed = 0;
  for (int round = 0; round < 5; ++round) {
    for (const auto& client : clients) client.send("x", address_);
    passed += clients.size();
    EXPECT_TRUE(eventually([&] {
      other.poll();
      return counters().datagrams_in + other.counters().datagrams_in == passed;
    }));
  }
  EXPECT_EQ(counters().sessions_opened + other.counters().sessions_opened, clients.size());
  EXPECT_GT(relay().sessions(), 0u);
  EXPECT_GT(other.sessions(), 0u);
  EXPECT_EQ(counts_->connections, clients.size());
}

TEST_F(UdpAddressesTest, DatagramsThatOverflowTheQueueAreCounted) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  const std::string large(60'000, 'x');
  for (int i = 0; i < 400; ++i) client.send(large, address_);
  while (relay().poll()) {
    while (backend.receive()) {
    }
  }
  pass_time(2'000);
  EXPECT_GT(counters().queue_overflows, 0u);
  EXPECT_EQ(counters().queue_overflows + counters().datagrams_in, 400u);
}

}  // namespace
}  // namespace lb::proxy
