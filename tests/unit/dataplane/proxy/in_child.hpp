// Runs part of a test in a process of its own, whose limits, user and network it may change.
#pragma once

#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <functional>

#include "common/net/fd.hpp"

namespace lb::proxy {

// Whether all that was expected there held. No thread may run when it is called.
inline bool in_child(const std::function<void()>& test) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(50);
    test();
    std::fflush(nullptr);
    ::_exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  return child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
}

// A network of this process alone, with nothing but loopback. False: not allowed here.
inline bool enter_own_network() {
  if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return false;
  const net::Fd fd(::socket(AF_INET, SOCK_DGRAM, 0));
  ifreq loopback{};
  std::strcpy(loopback.ifr_name, "lo");
  if (::ioctl(fd.get(), SIOCGIFFLAGS, &loopback) != 0) return false;
  loopback.ifr_flags |= IFF_UP;
  return ::ioctl(fd.get(), SIOCSIFFLAGS, &loopback) == 0;
}

inline bool set_port_range(int first, int last) {
  std::FILE* file = std::fopen("/proc/sys/net/ipv4/ip_local_port_range", "w");
  if (file == nullptr) return false;
  std::fprintf(file, "%d %d", first, last);
  return std::fclose(file) == 0;
}

}  // namespace lb::proxy
