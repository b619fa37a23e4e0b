#include "tests/integration/handoff/load.hpp"

#include <sys/socket.h>

#include <chrono>

#include "common/net/sockaddr.hpp"

namespace lb::handoff {
namespace {

using namespace std::chrono_literals;

constexpr auto kBetween = 1ms;

net::SockAddr local(uint16_t port) {
  return net::to_sockaddr(Endpoint{*IpAddress::parse("127.0.0.1"), port});
}

net::Fd patient_socket(int type) {
  net::Fd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  const timeval patience{type == SOCK_STREAM ? 10 : 3, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return fd;
}

}  // namespace

net::Fd connect_to(uint16_t port) {
  net::Fd fd = patient_socket(SOCK_STREAM);
  const net::SockAddr address = local(port);
  if (::connect(fd.get(), address.get(), address.length) != 0) fd.reset();
  return fd;
}

bool greeted(const net::Fd& connection) {
  char byte = 0;
  return ::recv(connection.get(), &byte, 1, 0) == 1 && byte == 'k';
}

bool answers(const net::Fd& connection, char byte) {
  char back = 0;
  return ::send(connection.get(), &byte, 1, MSG_NOSIGNAL) == 1 &&
         ::recv(connection.get(), &back, 1, 0) == 1 && back == byte;
}

Load::Load(uint16_t tcp_port, uint16_t udp_port)
    : tcp_port_(tcp_port), udp_port_(udp_port), thread_([this] { run(); }) {}

void Load::stop() {
  running_ = false;
  if (thread_.joinable()) thread_.join();
}

bool Load::wait_for(uint64_t count) const {
  const uint64_t target = connects_ + failed_ + count;
  const auto until = std::chrono::steady_clock::now() + 30s;
  while (connects_ + failed_ < target) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(kBetween);
  }
  return true;
}

void Load::run() {
  const net::Fd datagrams = patient_socket(SOCK_DGRAM);
  while (running_) {
    connect_once();
    send_once(datagrams);
    std::this_thread::sleep_for(kBetween);
  }
}

void Load::connect_once() {
  const net::Fd connection = connect_to(tcp_port_);
  if (!connection.valid()) {
    ++failed_;
    return;
  }
  if (!greeted(connection)) ++lost_;
  ++connects_;
}

void Load::send_once(const net::Fd& socket) {
  const net::SockAddr address = local(udp_port_);
  char byte = 'd';
  ++datagrams_;
  const bool sent = ::sendto(socket.get(), &byte, 1, 0, address.get(), address.length) == 1;
  if (!sent || ::recv(socket.get(), &byte, 1, 0) != 1) ++unanswered_;
}

}  // namespace lb::handoff
