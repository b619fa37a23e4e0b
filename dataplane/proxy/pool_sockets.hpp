// What the parts of WorkerPool share: the socket calls and the engine of a listener's protocol.
//
// Nothing throws; error codes are those of sockets.hpp. Control thread.
#pragma once

#include <utility>

#include "dataplane/proxy/data_path.hpp"
#include "dataplane/proxy/socket_tuning.hpp"
#include "dataplane/proxy/sockets.hpp"
#include "dataplane/proxy/udp_sockets.hpp"
#include "dataplane/proxy/worker.hpp"

namespace lb::proxy {

template <class Task>
void post_to(Worker& worker, Protocol protocol, Task task) {
  if (protocol == Protocol::kUdp) {
    worker.post_udp(std::move(task));
  } else {
    worker.post(std::move(task));
  }
}

inline void remove(RelayEngine& engine, const ListenerId& id) {
  engine.remove_listener(id.at, id.match);
}
inline void remove(UdpRelay& relay, const ListenerId& id) { relay.remove_listener(id.at); }

// Listeners leave the last descriptors alone, as traffic does: see descriptor_line.hpp.
inline Result<net::Fd> open_socket(const ListenerId& id, const SocketTuning& tuning,
                                   const DataPathOptions& options) {
  auto opened = id.protocol == Protocol::kUdp ? open_udp_listener(id.at, options.announcing)
                                              : open_listener(id.at, options.announcing);
  if (!opened) return opened;
  if (opened->get() >= options.descriptors.upkeep) {
    return Error{"SocketError", "cannot listen on " + id.at.to_string() +
                                    ": the last descriptors are kept for administration"};
  }
  if (const auto tuned = tune(opened->get(), tuning); !tuned) return tuned.error();
  return opened;
}

}  // namespace lb::proxy
