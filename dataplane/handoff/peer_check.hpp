// Whose process is at the other end of a unix socket (SO_PEERCRED, unix(7)). Any thread.
#pragma once

#include "common/model/result.hpp"

namespace lb::handoff {

// Error "HandoffPeer" unless the other process is root's or our own user's.
Status check_peer(int socket);

}  // namespace lb::handoff
