// An engine's epoll set (epoll(7)), which no engine can do without.
//
// The caller owns it. Any thread. Throws std::system_error when the kernel has none to give: too
// few descriptors, or fs.epoll.max_user_instances reached.
#pragma once

#include <sys/epoll.h>

#include <cerrno>
#include <system_error>

#include "common/net/fd.hpp"

namespace lb::proxy {

inline net::Fd make_epoll_set() {
  const int fd = ::epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "a worker's epoll set");
  return net::Fd(fd);
}

}  // namespace lb::proxy
