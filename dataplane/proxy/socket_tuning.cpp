#include "dataplane/proxy/socket_tuning.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "common/net/fd.hpp"

namespace lb::proxy {
namespace {

constexpr size_t kLongestName = 16;  // TCP_CA_NAME_MAX

net::Fd new_socket(Family family, Protocol protocol) {
  const int type = protocol == Protocol::kTcp ? SOCK_STREAM : SOCK_DGRAM;
  return net::Fd(socket(family == Family::kV4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0));
}

Error refused(const std::string& what, int error) {
  if (error == EPERM || error == EACCES) {
    return {"PermissionDenied", what + " is not allowed without CAP_NET_ADMIN"};
  }
  if (error == ENOENT || error == ENOPROTOOPT || error == EINVAL) {
    return {"NotSupportedByKernel", "this kernel has no " + what};
  }
  return {"SocketError", what + ": " + std::strerror(error)};
}

Status set_congestion(int fd, const std::string& name) {
  if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), socklen_t(name.size())) == 0) {
    return Done{};
  }
  return refused("congestion control '" + name + "'", errno);
}

Status set_busy_poll(int fd, uint32_t us) {
  const int value = int(us);
  if (setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &value, sizeof value) == 0) return Done{};
  return refused("busy polling for " + std::to_string(us) + " us", errno);
}

// As a socket has it that nobody has tuned.
SocketTuning of_system(Family family, Protocol protocol) {
  SocketTuning out;
  const net::Fd fd = new_socket(family, protocol);
  int us = 0;
  socklen_t size = sizeof us;
  if (getsockopt(fd.get(), SOL_SOCKET, SO_BUSY_POLL, &us, &size) == 0)
    out.busy_poll_us = uint32_t(us);
  std::array<char, kLongestName + 1> name{};
  size = kLongestName;
  if (protocol == Protocol::kTcp &&
      getsockopt(fd.get(), IPPROTO_TCP, TCP_CONGESTION, name.data(), &size) == 0) {
    out.congestion = name.data();
  }
  return out;
}

}  // namespace

SocketTuning tuning_of(const Policy& policy, Protocol protocol) {
  return {protocol == Protocol::kTcp ? policy.congestion : std::string(), policy.busy_poll_us};
}

Status tune(int fd, const SocketTuning& tuning) {
  if (!tuning.congestion.empty()) {
    if (const auto set = set_congestion(fd, tuning.congestion); !set) return set;
  }
  return tuning.busy_poll_us == 0 ? Status(Done{}) : set_busy_poll(fd, tuning.busy_poll_us);
}

Status try_tuning(const SocketTuning& tuning, Family family, Protocol protocol) {
  if (!tuning.any()) return Done{};
  const net::Fd fd = new_socket(family, protocol);
  if (!fd.valid()) return Error{"SocketError", std::strerror(errno)};
  return tune(fd.get(), tuning);
}

Status tune_again(int fd, const SocketTuning& tuning, Family family, Protocol protocol) {
  SocketTuning wanted = of_system(family, protocol);
  if (!tuning.congestion.empty()) wanted.congestion = tuning.congestion;
  if (tuning.busy_poll_us != 0) wanted.busy_poll_us = tuning.busy_poll_us;
  if (!wanted.congestion.empty()) {
    if (const auto set = set_congestion(fd, wanted.congestion); !set) return set;
  }
  return set_busy_poll(fd, wanted.busy_poll_us);
}

}  // namespace lb::proxy
