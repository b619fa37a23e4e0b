// Affinity by client address, the same for connections and for UDP sessions.
//
// The table that remembers is the listener's (affinity_table.hpp) and its workers' in common; whom
// it names is used as long as the configuration has that backend, ready and not known to fail. Any
// thread; times are the caller's steady clock in ms.
#pragma once

#include "dataplane/proxy/listener_config.hpp"

namespace lb::proxy {

// Index of the backend that the client was sent to last, or -1: none that may be used now.
int remembered_backend(const ListenerConfig& config, const IpAddress& client, uint64_t now_ms);

// Does nothing where the policy has no affinity.
void remember_backend(const ListenerConfig& config, const IpAddress& client,
                      const Endpoint& backend, uint64_t now_ms);

}  // namespace lb::proxy
