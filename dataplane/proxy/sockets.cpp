#include "dataplane/proxy/sockets.hpp"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "common/net/sockaddr.hpp"

namespace lb::proxy {
namespace {

constexpr int kBacklog = 4096;  // what net.core.somaxconn allows by default
constexpr int kKeepIdleSeconds = 60, kKeepIntervalSeconds = 15, kKeepProbes = 4;

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
  set_keepalive(fd);
}

// The port is chosen at connect, when the far end is known, so that it may be used for another one.
bool bind_source(int fd, const IpAddress& source) {
  set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  const auto from = net::to_sockaddr(Endpoint{source, 0});
  return bind(fd, from.get(), from.length) == 0;
}

// Invalid on failure, and errno as connect(2) left it.
net::Fd connected_or_not(net::Fd fd, const Endpoint& where) {
  const auto address = net::to_sockaddr(where);
  if (connect(fd.get(), address.get(), address.length) == 0 || errno == EINPROGRESS) return fd;
  const int error = errno;
  fd.reset();
  errno = error;
  return fd;
}

}  // namespace

Status probe_port(const Endpoint& where, bool freebind) {
  const net::Fd fd = tcp_socket(where);
  if (!fd.valid()) return socket_error(where, errno);
  prepare(fd.get(), where, freebind);
  const auto address = net::to_sockaddr(where);
  if (bind(fd.get(), address.get(), address.length) != 0) return socket_error(where, errno);
  return Done{};
}

Result<net::Fd> open_listener(const Endpoint& where, bool freebind) {
  net::Fd fd = tcp_socket(where);
  if (!fd.valid()) return socket_error(where, errno);
  prepare(fd.get(), where, freebind);
  set_inherited(fd.get());
  const auto address = net::to_sockaddr(where);
  if (bind(fd.get(), address.get(), address.length) != 0) return socket_error(where, errno);
  if (listen(fd.get(), kBacklog) != 0) return socket_error(where, errno);
  return fd;
}

net::Fd start_connect(const Endpoint& where, uint32_t source_v4, const SocketTuning& tuning,
                      bool* tuned) {
  net::Fd fd = tcp_socket(where);
  if (!fd.valid()) return fd;
  if (tuning.any() && !tune(fd.get(), tuning) && tuned != nullptr) *tuned = false;
  // A source that is gone by now is no reason not to connect.
  if (source_v4 != 0 && where.address.is_v4()) {
    (void)bind_source(fd.get(), IpAddress::v4(source_v4));
  }
  return connected_or_not(std::move(fd), where);
}

net::Fd start_connect_from(const Endpoint& where, const IpAddress& source,
                           const SocketTuning& tuning, bool* tuned) {
  net::Fd fd = tcp_socket(where);
  if (!fd.valid()) return fd;
  if (tuning.any() && !tune(fd.get(), tuning) && tuned != nullptr) *tuned = false;
  if (bind_source(fd.get(), source)) return connected_or_not(std::move(fd), where);
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

int unread_bytes(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCINQ, &bytes) == 0 ? bytes : 0;
}

uint64_t ms_since_sending(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return UINT64_MAX;
  return info.tcpi_last_data_sent;
}

// What a socket had to send when it was itself reset stays counted for ever.
bool all_delivered(int fd) {
  if (unsent_bytes(fd) == 0) return true;
  tcp_info info{};
  socklen_t size = sizeof info;
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_state == TCP_CLOSE;
}

void reset_on_close(int fd) {
  const linger now{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

// With MSG_TRUNC nothing is copied (tcp(7)).
bool has_unread(int fd) {
  char byte;
  return ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

PeerEnd peer_end(int fd) {
  pollfd asked{fd, POLLRDHUP, 0};
  if (::poll(&asked, 1, 0) <= 0) return PeerEnd::kNone;
  return (asked.revents & (POLLERR | POLLHUP)) != 0 ? PeerEnd::kReset : PeerEnd::kFin;
}

bool is_answered(int fd) {
  pollfd asked{fd, POLLOUT, 0};
  return ::poll(&asked, 1, 0) > 0;
}

void discard_input(int fd) {
  constexpr size_t kAtOnce = 1 << 20;
  for (int turn = 0; turn < 64; ++turn) {
    const ssize_t got = ::recv(fd, nullptr, kAtOnce, MSG_TRUNC | MSG_DONTWAIT);
    if (got <= 0 && !(got < 0 && errno == EINTR)) return;
  }
}

void set_keepalive(int fd) {
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepIdleSeconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepIntervalSeconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepProbes);
}

PeerState peer_state(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return {};
  return {info.tcpi_unacked != 0 || unsent_bytes(fd) != 0, info.tcpi_retransmits, info.tcpi_probes};
}

bool is_dead(const PeerState& peer) {
  constexpr unsigned kRetransmits = 6, kProbes = 2;
  return peer.retransmits >= kRetransmits || peer.probes >= kProbes;
}

std::optional<Endpoint> peer_endpoint(int fd) {
  net::SockAddr address;
  address.length = sizeof address.storage;
  auto* raw = reinterpret_cast<sockaddr*>(&address.storage);
  if (getpeername(fd, raw, &address.length) != 0) return std::nullopt;
  return net::to_endpoint(address);
}

std::optional<Endpoint> local_endpoint(int fd) {
  net::SockAddr address;
  address.length = sizeof address.storage;
  auto* raw = reinterpret_cast<sockaddr*>(&address.storage);
  if (getsockname(fd, raw, &address.length) != 0) return std::nullopt;
  return net::to_endpoint(address);
}

void set_nodelay(int fd) { set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1); }

}  // namespace lb::proxy
