// What the tests of the checklist (CHECKLIST.md) share: real sockets, and a look at the relay's own
// ones, which are in this process too. One thread; failures are reported to GoogleTest.
#pragma once

#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <fstream>
#include <sstream>

#include "tests/unit/dataplane/proxy/data_path_fixture.hpp"

namespace lb::proxy {

using Checklist = DataPathTest;

inline bool wait_for(const Fd& fd, short events, int ms = 5'000) {
  pollfd waiting{fd.get(), events, 0};
  return poll(&waiting, 1, ms) == 1;
}

inline void pause_ms(int ms) { poll(nullptr, 0, ms); }

// Sends until the far side and everything between take no more.
inline size_t fill(const Fd& fd) {
  const std::string block(1 << 16, 'f');
  size_t sent = 0;
  for (;;) {
    const ssize_t n = send(fd.get(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      sent += size_t(n);
    } else if (!wait_for(fd, POLLOUT, 300)) {
      return sent;
    }
  }
}

// What the far kernel has not yet acknowledged.
inline size_t unacknowledged(const Fd& fd) {
  int bytes = 0;
  EXPECT_EQ(ioctl(fd.get(), SIOCOUTQ, &bytes), 0);
  return size_t(bytes);
}

// A client with a small window, so that little is on its way when it does not read.
inline Fd dial_narrow(uint16_t port) {
  Fd fd(socket(AF_INET, SOCK_STREAM, 0));
  const int small = 16 << 10;
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  const timeval limit{8, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  const auto address = loopback(port);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fd.reset();
  return fd;
}

// Bytes until the end or an error, and which error that was (0: a FIN).
struct Received {
  std::string bytes;
  int error = 0;
};
inline Received receive_all(const Fd& fd, size_t at_once = 1 << 16, int pause = 0) {
  Received out;
  std::string block(at_once, '\0');
  for (;;) {
    const ssize_t got = recv(fd.get(), block.data(), block.size(), 0);
    if (got <= 0) {
      out.error = got == 0 ? 0 : errno;
      return out;
    }
    out.bytes.append(block, 0, size_t(got));
    if (pause != 0) pause_ms(pause);
  }
}

// Bytes that tell their place, so that a lost, doubled or moved one shows.
inline std::string numbered(size_t size) {
  std::string out;
  out.reserve(size + 12);
  for (uint64_t i = 0; out.size() < size; ++i) out += std::to_string(i) + ",";
  out.resize(size);
  return out;
}

inline int option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

// The descriptors that this process has open, by what they lead to.
inline std::vector<int> open_descriptors() {
  std::vector<int> out;
  for (int fd = 0; fd < 4096; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) out.push_back(fd);
  }
  return out;
}

inline uint16_t peer_port_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  return ntohs(address.sin_port);
}

// The relay's own sockets: those that listen, face clients of `listener`, or face `backend`.
inline std::vector<int> relay_listeners(uint16_t listener) {
  std::vector<int> out;
  for (const int fd : open_descriptors()) {
    if (option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1 && port_of(fd) == listener) out.push_back(fd);
  }
  return out;
}
inline std::vector<int> relay_clients(uint16_t listener) {
  std::vector<int> out;
  for (const int fd : open_descriptors()) {
    if (peer_port_of(fd) != 0 && port_of(fd) == listener) out.push_back(fd);
  }
  return out;
}
inline std::vector<int> relay_backends(uint16_t backend) {
  std::vector<int> out;
  for (const int fd : open_descriptors()) {
    if (peer_port_of(fd) == backend) out.push_back(fd);
  }
  return out;
}

// How many sockets of this network hold `port` at either end in that state (TCP_TIME_WAIT, …).
inline int sockets_in_state(uint16_t port, int state) {
  std::ifstream table("/proc/thread-self/net/tcp");
  std::string line, local, remote, status, number;
  std::ostringstream suffix;
  suffix << ':' << std::uppercase << std::hex;
  suffix.width(4);
  suffix.fill('0');
  suffix << port;
  int count = 0;
  while (std::getline(table, line)) {
    std::istringstream(line) >> number >> local >> remote >> status;
    const bool ours = local.ends_with(suffix.str()) || remote.ends_with(suffix.str());
    if (ours && status.size() == 2 && std::stoi(status, nullptr, 16) == state) ++count;
  }
  return count;
}

}  // namespace lb::proxy
