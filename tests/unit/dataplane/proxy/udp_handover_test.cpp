// UDP listeners whose sockets another relay reads from now on, driven without a worker's thread.
#include <fcntl.h>
#include <poll.h>

#include <memory>

#include "dataplane/proxy/udp_relay.hpp"
#include "dataplane/proxy/udp_sockets.hpp"
#include "tests/unit/dataplane/proxy/data_path_fixture.hpp"

namespace lb::proxy {
namespace {

Endpoint local(uint16_t port) { return {*IpAddress::parse("127.0.0.1"), port}; }

struct Peer {
  Peer() : fd(socket(AF_INET, SOCK_DGRAM, 0)) {
    const auto address = loopback(0);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    port = port_of(fd.get());
  }
  void send_to(uint16_t to, const std::string& text) const {
    const auto address = loopback(to);
    sendto(fd.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&address),
           sizeof address);
  }
  // What has come, and from where; loopback delivers before send returns.
  std::pair<std::string, uint16_t> heard() const {
    char block[2048];
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const ssize_t got = recvfrom(fd.get(), block, sizeof block, MSG_DONTWAIT,
                                 reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 0) return {"nothing", 0};
    return {std::string(block, size_t(got)), ntohs(from.sin_port)};
  }
  Fd fd;
  uint16_t port = 0;
};

class UdpHandoverTest : public testing::Test {
 protected:
  UdpHandoverTest() {
    auto made = std::make_shared<ListenerConfig>();
    made->key = "file/dns";
    made->address = local(0);
    made->records.push_back(
        std::make_shared<BackendRecord>(local(backend.port), Protocol::kUdp, 1));
    made->candidates.push_back({.weight = 1, .state = BackendState::kReady, .identity = 1});
    for (int i = 0; i < 2; ++i) {
      auto opened = open_udp_listener(local(port), false);
      sockets.push_back(std::move(opened).value());
      port = port_of(sockets.back().get());
    }
    made->address = local(port);
    config = made;
  }
  std::vector<Fd> copies() const {
    std::vector<Fd> out;
    for (const auto& socket : sockets) out.emplace_back(fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
    return out;
  }
  // As between processes: the relay that leaves is told first.
  void serve(UdpRelay& relay) {
    relay.hold_listener(copies(), config);
    relay.start_held();
  }
  static void settle(UdpRelay& relay) {
    for (int i = 0; i < 10; ++i) relay.poll();
  }

  Peer backend, client;
  uint16_t port = 0;
  std::vector<Fd> sockets;
  std::shared_ptr<const ListenerConfig> config;
};

TEST_F(UdpHandoverTest, NothingIsReadBeforeTheStart) {
  UdpRelay coming(0);
  coming.hold_listener(copies(), config);
  client.send_to(port, "early");
  settle(coming);
  EXPECT_EQ(backend.heard().first, "nothing");
  coming.start_held();
  settle(coming);
  EXPECT_EQ(backend.heard().first, "early");
}

TEST_F(UdpHandoverTest, EverySocketOfAListenerIsRead) {
  UdpRelay coming(0);
  serve(coming);
  std::vector<Peer> clients(32);  // the kernel deals them out over both sockets
  for (const auto& each : clients) each.send_to(port, "question");
  settle(coming);
  size_t heard = 0;
  while (backend.heard().first == "question") ++heard;
  EXPECT_EQ(heard, clients.size());
}

TEST_F(UdpHandoverTest, OneThatHasLeftReadsNothingMore) {
  UdpRelay leaving(0), coming(0);
  serve(leaving);
  coming.hold_listener(copies(), config);
  leaving.release_sockets();
  client.send_to(port, "question");
  EXPECT_FALSE(leaving.poll()) << "woken without an end";
  leaving.drain(60'000);
  EXPECT_FALSE(leaving.poll());
  EXPECT_EQ(backend.heard().first, "nothing");
  coming.start_held();
  settle(coming);
  EXPECT_EQ(backend.heard().first, "question");
  EXPECT_EQ(leaving.counters().datagrams_in, 0u);
}

TEST_F(UdpHandoverTest, AnAnswerThatComesAfterwardsIsStillPassedOn) {
  UdpRelay leaving(0);
  serve(leaving);
  client.send_to(port, "question");
  settle(leaving);
  const auto [question, session] = backend.heard();
  ASSERT_EQ(question, "question");
  leaving.release_sockets();
  leaving.drain(60'000);
  backend.send_to(session, "answer");
  settle(leaving);
  EXPECT_EQ(client.heard(), (std::pair<std::string, uint16_t>{"answer", port}));
}

TEST_F(UdpHandoverTest, ASocketThatReceivesTrainsIsReadAsSuch) {
  for (const auto& socket : sockets) receive_trains(socket.get());
  ASSERT_TRUE(receives_trains(sockets[0].get()));
  UdpRelay coming(0);
  serve(coming);
  // One send of three datagrams: a train for whoever asks for trains.
  const int size = 4;
  setsockopt(client.fd.get(), IPPROTO_UDP, 103 /* UDP_SEGMENT */, &size, sizeof size);
  client.send_to(port, "one-two-last");
  settle(coming);
  EXPECT_EQ(backend.heard().first, "one-");
  EXPECT_EQ(backend.heard().first, "two-");
  EXPECT_EQ(backend.heard().first, "last");
}

TEST_F(UdpHandoverTest, WhatTheOtherHasSeenDroppedIsNotCountedAgain) {
  const std::string block(1400, 'x');
  for (int i = 0; i < 20'000; ++i) client.send_to(port, block);
  uint64_t now = 1'000'000;
  UdpRelay coming(0, {.on_eject = {}, .now_ms = [&] { return now; }});
  coming.hold_listener(copies(), config);
  coming.start_held();
  now += 5'000;
  coming.tick();
  EXPECT_EQ(coming.counters().queue_overflows, 0u);
}

}  // namespace
}  // namespace lb::proxy
