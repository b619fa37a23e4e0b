// A network namespace of this thread's own, with loopback up, for as long as the object lives.
// Threads that are started meanwhile are in it too. Needs CAP_SYS_ADMIN: made() says whether it is
// there; without it nothing has changed.
#pragma once

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>
#include <fstream>

#include "common/net/fd.hpp"

namespace lb::proxy {

class OwnNetwork {
 public:
  OwnNetwork() : before_(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    made_ = unshare(CLONE_NEWNET) == 0;
    if (made_) set_loopback(IFF_UP | IFF_RUNNING);
  }
  ~OwnNetwork() {
    if (made_) setns(before_.get(), CLONE_NEWNET);
  }
  OwnNetwork(const OwnNetwork&) = delete;
  OwnNetwork& operator=(const OwnNetwork&) = delete;

  bool made() const { return made_; }
  // From now on nothing arrives anywhere, and nobody is told.
  static void cut() { set_loopback(0); }
  // What connects may leave from; false where the files of the kernel cannot be written.
  static bool local_ports(unsigned first, unsigned last) {
    std::ofstream range("/proc/sys/net/ipv4/ip_local_port_range");
    range << first << ' ' << last << std::endl;
    return range.good();
  }

 private:
  static void set_loopback(short flags) {
    const net::Fd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = flags;
    ioctl(any.get(), SIOCSIFFLAGS, &request);
  }

  net::Fd before_;
  bool made_ = false;
};

}  // namespace lb::proxy
