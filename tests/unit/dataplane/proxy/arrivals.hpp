// Which of several servers a connection came to, what it says there, and whether a data path has
// given back all it took.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>

#include "tests/unit/dataplane/proxy/data_path_fixture.hpp"

namespace lb::proxy {

struct Arrival {
  size_t server = SIZE_MAX;
  Fd fd;
};

// The next connection at any of the servers, within five seconds.
inline Arrival next_arrival(const std::vector<const Server*>& servers) {
  std::vector<pollfd> asked;
  for (const Server* server : servers) asked.push_back({server->fd.get(), POLLIN, 0});
  if (::poll(asked.data(), asked.size(), 5000) <= 0) return {};
  for (size_t i = 0; i < asked.size(); ++i) {
    if (asked[i].revents == 0) continue;
    Fd fd(accept(servers[i]->fd.get(), nullptr, nullptr));
    const timeval limit{5, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return {i, std::move(fd)};
  }
  return {};
}

// Exactly so many bytes, or what came before the end.
inline std::string read_some(const Fd& fd, size_t size) {
  std::string out(size, '\0');
  size_t got = 0;
  while (got < size) {
    const ssize_t n = recv(fd.get(), out.data() + got, size - got, 0);
    if (n <= 0) break;
    got += size_t(n);
  }
  out.resize(got);
  return out;
}

inline size_t open_descriptors() {
  size_t count = 0;
  DIR* folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

class SecondChanceTest : public DataPathTest {
 protected:
  // All connections are over and nothing of them is left.
  void expect_nothing_left(size_t descriptors) {
    EXPECT_TRUE(eventually([&] { return counters().active == 0; }));
    for (const auto& backend : port_status().backends) EXPECT_EQ(backend.connections, 0U);
    EXPECT_TRUE(eventually([&] { return open_descriptors() <= descriptors; }))
        << open_descriptors() << " instead of " << descriptors;
  }
  PortTotals totals() {
    PortTotals out;
    on_control([&] { out = path_->totals().at(0); });
    return out;
  }
};

}  // namespace lb::proxy
