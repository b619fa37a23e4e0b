// What the running process puts up for a handoff. Plain values; descriptors are borrowed.
#pragma once

#include <string>
#include <vector>

#include "dataplane/handoff/handoff_message.hpp"

namespace lb::handoff {

struct OfferedSocket {
  SocketLabel label;
  int fd = -1;

  auto operator<=>(const OfferedSocket&) const = default;
};

struct Offer {
  std::string version;
  unsigned workers = 1;
  Counters counters;
  std::vector<OfferedSocket> listeners;
  std::string state;  // UTF-8
  int lock = -1;      // the locked descriptor of the state folder; -1: none
};

struct FinalReport {
  Counters counters;
};

}  // namespace lb::handoff
