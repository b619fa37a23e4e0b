#include "dataplane/proxy/sockets.hpp"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace lb::proxy {
namespace {

constexpr int kBacklog = 4096;  // what net.core.somaxconn allows by default
constexpr int kKeepIdleSeconds = 60, kKeepIntervalSeconds = 15, kKeepProbes = 4;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress to_socket_address(const Endpoint& where) {
  SocketAddress out;
  if (where.address.is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(where.port);
    v4->sin_addr.s_addr = htonl(where.address.to_v4());
    out.size = sizeof *v4;
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(where.port);
    std::memcpy(&v6->sin6_addr, where.address.bytes().data(), sizeof v6->sin6_addr);
    out.size = sizeof *v6;
  }
  return out;
}

net::Fd tcp_socket(const Endpoint& where) {
  const int family = where.address.is_v4() ? AF_INET : AF_INET6;
  return net::Fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

void set_option(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof value);
}

Error socket_error(const Endpoint& where, int error) {
  const char* code = error == EADDRINUSE                 ? "AddressInUse"
                     : error == EACCES || error == EPERM ? "PermissionDenied"
                     : error == EADDRNOTAVAIL            ? "AddressNotLocal"
                                                         : "SocketError";
  return {code, "cannot listen on " + where.to_string() + ": " + std::strerror(error)};
}

void prepare(int fd, const Endpoint& where, bool freebind) {
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (freebind) set_option(fd, IPPROTO_IP, IP_FREEBIND, 1);
  if (!where.address.is_v4()) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
}

void set_inherited(int fd) {
  set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepIdleSeconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepIntervalSeconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepProbes);
}

}  // namespace

Status probe_port(const Endpoint& where, bool freebind) {
  const net::Fd fd = tcp_socket(where);
  if (!fd.valid()) return socket_error(where, errno);
  prepare(fd.get(), where, freebind);
  const auto address = to_socket_address(where);
  if (bind(fd.get(), address.get(), address.size) != 0) return socket_error(where, errno);
  return Done{};
}

Result<net::Fd> open_listener(const Endpoint& where, bool freebind) {
  net::Fd fd = tcp_socket(where);
  if (!fd.valid()) return socket_error(where, errno);
  prepare(fd.get(), where, freebind);
  set_inherited(fd.get());
  const auto address = to_socket_address(where);
  if (bind(fd.get(), address.get(), address.size) != 0) return socket_error(where, errno);
  if (listen(fd.get(), kBacklog) != 0) return socket_error(where, errno);
  return fd;
}

net::Fd start_connect(const Endpoint& where) {
  net::Fd fd = tcp_socket(where);
  if (!fd.valid()) return fd;
  const auto address = to_socket_address(where);
  if (connect(fd.get(), address.get(), address.size) == 0 || errno == EINPROGRESS) return fd;
  const int error = errno;
  fd.reset();
  errno = error;
  return fd;
}

int take_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

int unsent_bytes(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

void reset_on_close(int fd) {
  const linger now{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void set_nodelay(int fd) { set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1); }

}  // namespace lb::proxy
