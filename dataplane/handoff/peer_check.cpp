#include "dataplane/handoff/peer_check.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace lb::handoff {

Status check_peer(int socket) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) {
    return Error{"HandoffPeer", "it is not known whose process the other one is"};
  }
  if (peer.uid == 0 || peer.uid == ::geteuid()) return Done{};
  return Error{"HandoffPeer", "process " + std::to_string(peer.pid) + " is of user " +
                                  std::to_string(peer.uid) + ", neither root nor ours"};
}

}  // namespace lb::handoff
