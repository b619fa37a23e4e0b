// Addresses of this host that closed connections still need: the process has let go of the socket,
// and the kernel goes on sending what was queued, and its FIN. Without the address no answer to
// that would ever arrive.
//
// Asks the kernel (sock_diag(7), a walk over its TCP sockets): for moments when an address is about
// to go, not for every change. Synchronous, any thread, no privilege. Where the kernel does not
// tell (no tcp_diag, no memory) nothing is said to be needed.
#pragma once

#include <set>

#include "common/model/address.hpp"

namespace lb::announce {

std::set<IpAddress> undelivered(const std::set<IpAddress>& among);

}  // namespace lb::announce
