#include "dataplane/listen_queue.hpp"

#include <fstream>
#include <sstream>
#include <string>

namespace lb::dataplane {

std::optional<uint64_t> read_listen_overflows(std::istream& netstat) {
  std::string names, values;
  while (std::getline(netstat, names) && std::getline(netstat, values)) {
    if (!names.starts_with("TcpExt:")) continue;
    std::istringstream name(names), value(values);
    std::string each, number;
    while (name >> each && value >> number) {
      if (each != "ListenOverflows") continue;
      uint64_t out = 0;
      std::istringstream digits(number);
      if (digits >> out) return out;
    }
  }
  return std::nullopt;
}

// Of the calling thread, since threads may live in different namespaces.
std::optional<uint64_t> listen_overflows() {
  std::ifstream file("/proc/thread-self/net/netstat");
  return read_listen_overflows(file);
}

}  // namespace lb::dataplane
