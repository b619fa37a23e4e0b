#include "tests/unit/dataplane/proxy/failing_epoll.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace {

std::atomic<bool> g_refuses{false};

int option(int fd, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : 0;
}

// One that listens, or of UDP and heard from by anybody.
bool clients_come_to(int fd) {
  if (option(fd, SO_ACCEPTCONN) == 1) return true;
  sockaddr_storage peer;
  socklen_t size = sizeof peer;
  return option(fd, SO_TYPE) == SOCK_DGRAM &&
         getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0;
}

}  // namespace

namespace lb::proxy {

NoMoreWatches::NoMoreWatches() { g_refuses = true; }
NoMoreWatches::~NoMoreWatches() { g_refuses = false; }

}  // namespace lb::proxy

extern "C" int epoll_ctl(int set, int what, int fd, epoll_event* event) noexcept {
  if (what == EPOLL_CTL_ADD && g_refuses && clients_come_to(fd)) {
    errno = ENOSPC;
    return -1;
  }
  return int(syscall(SYS_epoll_ctl, set, what, fd, event));
}
