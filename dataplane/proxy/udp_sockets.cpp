#include "dataplane/proxy/udp_sockets.hpp"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "common/net/sockaddr.hpp"

namespace lb::proxy {
namespace {

constexpr int kBufferBytes = 4 << 20;
constexpr int kSessionBufferBytes = 1 << 20;  // the default holds 256 small datagrams

net::Fd udp_socket(const Endpoint& where) {
  const int family = where.address.is_v4() ? AF_INET : AF_INET6;
  return net::Fd(socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

void turn_on(int fd, int level, int name) {
  const int on = 1;
  setsockopt(fd, level, name, &on, sizeof on);
}

Error socket_error(const Endpoint& where, int error) {
  const char* code = error == EADDRINUSE                 ? "AddressInUse"
                     : error == EACCES || error == EPERM ? "PermissionDenied"
                     : error == EADDRNOTAVAIL            ? "AddressNotLocal"
                                                         : "SocketError";
  return {code, "cannot receive UDP on " + where.to_string() + ": " + std::strerror(error)};
}

void prepare(int fd, const Endpoint& where, bool freebind) {
  const bool v4 = where.address.is_v4();
  if (!v4) turn_on(fd, IPPROTO_IPV6, IPV6_V6ONLY);
  if (freebind)
    turn_on(fd, v4 ? int{IPPROTO_IP} : int{IPPROTO_IPV6}, v4 ? IP_FREEBIND : IPV6_FREEBIND);
}

// The forced form ignores the system's limit, and needs CAP_NET_ADMIN.
void enlarge_buffers(int fd) {
  const int size = kBufferBytes;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  }
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  }
}

// A source that is gone by now is no reason not to connect.
void bind_source(int fd, uint32_t source_v4) {
  turn_on(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
  const auto from = net::to_sockaddr(Endpoint{IpAddress::v4(source_v4), 0});
  (void)bind(fd, from.get(), from.length);
}

Status bind_to(int fd, const Endpoint& where) {
  const auto address = net::to_sockaddr(where);
  if (bind(fd, address.get(), address.length) != 0) return socket_error(where, errno);
  return Done{};
}

}  // namespace

Status probe_udp_port(const Endpoint& where, bool freebind) {
  const net::Fd fd = udp_socket(where);
  if (!fd.valid()) return socket_error(where, errno);
  prepare(fd.get(), where, freebind);
  return bind_to(fd.get(), where);
}

Result<net::Fd> open_udp_listener(const Endpoint& where, bool freebind) {
  net::Fd fd = udp_socket(where);
  if (!fd.valid()) return socket_error(where, errno);
  prepare(fd.get(), where, freebind);
  turn_on(fd.get(), SOL_SOCKET, SO_REUSEPORT);
  enlarge_buffers(fd.get());
  if (where.address.is_wildcard()) {
    const bool v4 = where.address.is_v4();
    turn_on(fd.get(), v4 ? int{IPPROTO_IP} : int{IPPROTO_IPV6}, v4 ? IP_PKTINFO : IPV6_RECVPKTINFO);
  }
  const Status bound = bind_to(fd.get(), where);
  if (!bound) return bound.error();
  return fd;
}

net::Fd connect_udp(const Endpoint& where, const SocketTuning& tuning, bool* tuned,
                    uint32_t source_v4) {
  net::Fd fd = udp_socket(where);
  if (!fd.valid()) return fd;
  if (source_v4 != 0) bind_source(fd.get(), source_v4);
  if (tuning.any() && !tune(fd.get(), tuning) && tuned != nullptr) *tuned = false;
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kSessionBufferBytes, sizeof(int));
  const auto address = net::to_sockaddr(where);
  if (connect(fd.get(), address.get(), address.length) == 0) return fd;
  const int error = errno;
  fd.reset();
  errno = error;
  return fd;
}

void receive_trains(int fd) { turn_on(fd, IPPROTO_UDP, UDP_GRO); }

bool receives_trains(int fd) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(fd, IPPROTO_UDP, UDP_GRO, &value, &size) == 0 && value != 0;
}

}  // namespace lb::proxy
