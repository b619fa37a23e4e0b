// A UDP relay on loopback that the test drives by hand, and raw sockets on both sides of it.
#pragma once

#include <gtest/gtest.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/net/fd.hpp"
#include "common/net/sockaddr.hpp"
#include "dataplane/proxy/udp_relay.hpp"
#include "dataplane/proxy/udp_sockets.hpp"

namespace lb::proxy {

inline Endpoint at(const std::string& address, uint16_t port) {
  return {IpAddress::parse(address).value(), port};
}

inline Endpoint bound_endpoint(int fd) {
  net::SockAddr address;
  address.length = sizeof address.storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length);
  return net::to_endpoint(address);
}

struct Packet {
  std::string text;
  Endpoint from;
};

// A client or a backend; never blocks.
struct UdpSocket {
  explicit UdpSocket(const std::string& address = "127.0.0.1", uint16_t port = 0)
      : UdpSocket(at(address, port)) {}
  explicit UdpSocket(const Endpoint& where)
      : fd(socket(where.address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    const auto raw = net::to_sockaddr(where);
    EXPECT_EQ(bind(fd.get(), raw.get(), raw.length), 0);
    const int room = 4 << 20;
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    endpoint = bound_endpoint(fd.get());
  }

  void send(const std::string& text, const Endpoint& to) const {
    const auto raw = net::to_sockaddr(to);
    EXPECT_EQ(sendto(fd.get(), text.data(), text.size(), 0, raw.get(), raw.length),
              ssize_t(text.size()));
  }
  bool readable() const {
    pollfd waiting{fd.get(), POLLIN, 0};
    return ::poll(&waiting, 1, 0) == 1;
  }
  std::optional<Packet> receive() const {
    Packet out;
    out.text.resize(70'000);
    net::SockAddr from;
    from.length = sizeof from.storage;
    const ssize_t size = recvfrom(fd.get(), out.text.data(), out.text.size(), 0,
                                  reinterpret_cast<sockaddr*>(&from.storage), &from.length);
    if (size < 0) return std::nullopt;
    out.text.resize(size_t(size));
    out.from = net::to_endpoint(from);
    return out;
  }

  net::Fd fd;
  Endpoint endpoint;
};

// A port on which nobody listens, of an address from which the relay does not send: no socket of
// its own takes the port meanwhile.
inline Endpoint closed_port(const std::string& address = "127.0.0.9") {
  return UdpSocket(address).endpoint;
}

// The kernel cuts only what it may checksum, so a socket without checksums refuses trains, as a
// path does that is too narrow for their datagrams.
inline void refuse_trains(int fd) {
  const int on = 1;
  ASSERT_EQ(setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, &on, sizeof on), 0);
}

// The relay's own socket to that backend.
inline int socket_to(const Endpoint& backend) {
  for (int fd = 3; fd < 1024; ++fd) {
    net::SockAddr peer;
    peer.length = sizeof peer.storage;
    auto* raw = reinterpret_cast<sockaddr*>(&peer.storage);
    if (getpeername(fd, raw, &peer.length) == 0 && net::to_endpoint(peer) == backend) return fd;
  }
  return -1;
}

inline void cut_what_it_sends(const UdpSocket& socket, int segment) {
  ASSERT_EQ(setsockopt(socket.fd.get(), IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment), 0);
}

class UdpRelayTest : public testing::Test {
 protected:
  using Records = std::vector<std::shared_ptr<BackendRecord>>;

  UdpRelayTest() {
    hooks_.now_ms = [this] { return now_; };
    hooks_.on_eject = [this](const std::shared_ptr<BackendRecord>& record, const Policy&) {
      ejected_.push_back(record->endpoint);
    };
  }

  // The relay is made by the first call: what the test wants of hooks_ it says before.
  UdpRelay& relay() {
    if (!relay_) relay_ = std::make_unique<UdpRelay>(0, hooks_);
    return *relay_;
  }

  // A backend keeps its record over configurations, as the data path sees to.
  std::shared_ptr<BackendRecord> record(const Endpoint& where) {
    for (const auto& known : records_) {
      if (known->endpoint == where) return known;
    }
    return records_.emplace_back(std::make_shared<BackendRecord>(where));
  }

  std::shared_ptr<const ListenerConfig> config(const std::vector<Endpoint>& backends) {
    auto out = std::make_shared<ListenerConfig>();
    out->address = address_;
    out->policy = policy_;
    out->counts = counts_;
    if (policy_.max_connections_per_source != 0 || policy_.max_rate_per_source != 0) {
      out->limits = limits_;
    }
    if (policy_.affinity_seconds != 0) out->affinity = affinity_;
    for (const Endpoint& backend : backends) {
      out->candidates.push_back({});
      if (states_.contains(backend)) out->candidates.back().state = states_[backend];
      out->records.push_back(record(backend));
    }
    return out;
  }

  void serve(const std::vector<Endpoint>& backends) { serve_at("127.0.0.1", backends); }
  void serve_at(const std::string& address, const std::vector<Endpoint>& backends) {
    auto fd = open_udp_listener(at(address, 0), false);
    ASSERT_TRUE(fd.ok());
    address_ = bound_endpoint(fd->get());
    relay().add_listener(std::move(fd).value(), config(backends));
  }
  void update(const std::vector<Endpoint>& backends) { relay().update_listener(config(backends)); }

  // Lets the relay work until it holds, for five seconds at most.
  bool eventually(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!holds()) {
      if (std::chrono::steady_clock::now() > end) return false;
      pollfd waiting{relay().descriptor(), POLLIN, 0};
      ::poll(&waiting, 1, 1);
      relay().poll();
    }
    return true;
  }
  bool reaches(const std::atomic<uint64_t>& counter, uint64_t value) {
    return eventually([&] { return counter.load() >= value; }) && counter.load() == value;
  }
  // The next datagram at that socket; "(nothing)" from nowhere if none comes.
  Packet next(const UdpSocket& socket) {
    if (!eventually([&] { return socket.readable(); })) return {"(nothing)", {}};
    return socket.receive().value_or(Packet{"(error)", {}});
  }
  std::string text_at(const UdpSocket& socket) { return next(socket).text; }
  // A question to the listener and the answer to it; returns what the client got.
  std::string exchange(const UdpSocket& client, const UdpSocket& backend, const std::string& text) {
    client.send(text, address_);
    const Packet asked = next(backend);
    if (asked.text != text) return "the backend got " + asked.text;
    backend.send("re: " + text, asked.from);
    return text_at(client);
  }
  void pass_time(uint64_t ms) {
    now_ += ms;
    relay().tick();
  }
  const UdpCounters& counters() { return relay().counters(); }

  uint64_t now_ = 1'000'000;
  UdpHooks hooks_;
  Policy policy_;
  Endpoint address_;
  std::shared_ptr<ListenerCounts> counts_ = std::make_shared<ListenerCounts>();
  std::shared_ptr<SourceLimits> limits_ = std::make_shared<SourceLimits>();
  std::shared_ptr<AffinityTable> affinity_ = std::make_shared<AffinityTable>();
  std::map<Endpoint, BackendState> states_;  // of whom it is not ready
  Records records_;
  std::vector<Endpoint> ejected_;
  std::unique_ptr<UdpRelay> relay_;
};

}  // namespace lb::proxy
