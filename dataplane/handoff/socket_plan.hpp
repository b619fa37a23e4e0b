// Which worker accepts from which socket, when the number of workers changes with a handoff.
//
// Pure. A socket of a SO_REUSEPORT group (socket(7)) gets its share of new connections until every
// process has closed it, and what is queued on it then is reset. So no taken socket may be left
// out: with fewer workers some own several sockets of one listener. With more, the others may add
// sockets of their own to the group, but only once the handoff is confirmed: closing an added one
// when it fails would reset connections.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <vector>

#include "dataplane/handoff/handoff_message.hpp"

namespace lb::handoff {

// For one listener.
struct SocketPlan {
  // For each worker: indexes into the labels given. The only socket of a shared listener is
  // with one worker.
  std::vector<std::vector<size_t>> owned;
  std::vector<unsigned> may_open;  // workers without one, in order; none for a shared listener

  bool operator==(const SocketPlan&) const = default;
};

// `workers` >= 1. A socket stays with its worker where that one exists; the rest is dealt out so
// that counts differ by one at most, beginning with another worker for each port.
std::map<proxy::ListenerId, SocketPlan> plan_sockets(std::span<const SocketLabel> labels,
                                                     unsigned workers);

}  // namespace lb::handoff
