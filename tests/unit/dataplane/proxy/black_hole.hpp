// A port of loopback on which every connect hangs: its queue is full, so the kernel drops what
// comes. One thread; lives as long as the connects should hang.
#pragma once

#include "tests/unit/dataplane/proxy/data_path_fixture.hpp"

namespace lb::proxy {

struct BlackHole {
  BlackHole() : fd(socket(AF_INET, SOCK_STREAM, 0)) {
    const auto address = loopback(0);
    bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    listen(fd.get(), 0);
    port = port_of(fd.get());
    for (int i = 0; i < 4; ++i) {
      fill.push_back(Fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)));
      const auto where = loopback(port);
      connect(fill.back().get(), reinterpret_cast<const sockaddr*>(&where), sizeof where);
    }
  }
  Fd fd;
  uint16_t port = 0;
  std::vector<Fd> fill;
};

}  // namespace lb::proxy
