#include "tests/unit/dataplane/proxy/counting_recv.hpp"

#undef _FORTIFY_SOURCE
#include <sys/socket.h>

namespace {

thread_local uint64_t t_calls = 0;

}  // namespace

namespace lb::proxy {

uint64_t recv_calls() { return t_calls; }

}  // namespace lb::proxy

extern "C" ssize_t recv(int fd, void* to, size_t size, int flags) {
  ++t_calls;
  return recvfrom(fd, to, size, flags, nullptr, nullptr);
}
