// What a policy asks of the kernel for each socket: congestion control (tcp(7), TCP_CONGESTION) and
// busy polling (socket(7), SO_BUSY_POLL).
//
// A listener's sockets hand both on to what they accept. Error codes: PermissionDenied (the name is
// not in net.ipv4.tcp_allowed_congestion_control, or the time is above net.core.busy_read, and we
// lack CAP_NET_ADMIN), NotSupportedByKernel, SocketError. Plain values and calls; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "common/model/result.hpp"
#include "common/model/state.hpp"

namespace lb::proxy {

struct SocketTuning {
  std::string congestion;     // empty: the system's
  uint32_t busy_poll_us = 0;  // 0: the system's

  bool any() const { return !congestion.empty() || busy_poll_us != 0; }
  bool operator==(const SocketTuning&) const = default;
};

// Congestion control is TCP's.
SocketTuning tuning_of(const Policy& policy, Protocol protocol);

Status tune(int fd, const SocketTuning& tuning);
// Whether tune() would do, found out on a socket of its own.
Status try_tuning(const SocketTuning& tuning, Family family, Protocol protocol);
// For a socket that was tuned before: what is not asked for goes back to what the system has.
Status tune_again(int fd, const SocketTuning& tuning, Family family, Protocol protocol);

}  // namespace lb::proxy
