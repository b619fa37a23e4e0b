// main() of every test program. Each run of one has a loopback of its own where this machine lets
// it make a network namespace (CAP_SYS_ADMIN), so that a port which one test closed, or left in
// TIME_WAIT, is never what another one, run at the same time, was given. Elsewhere the tests share
// the machine's loopback.
#include <gmock/gmock.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

namespace {

void raise_loopback() {
  const int any = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  ::ioctl(any, SIOCSIFFLAGS, &request);
  ::close(any);
}

}  // namespace

int main(int argc, char** argv) {
  if (::unshare(CLONE_NEWNET) == 0) raise_loopback();
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
