// What a connection carries beside its Session once a dial has failed, or where its policy has it
// hedge, replay or wait. Most connections never have one.
//
// A record without behaviour of its own, of the Session that owns it and on its worker's thread.
// Times are ms of the engine's clock.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "common/net/fd.hpp"
#include "dataplane/proxy/backend_link.hpp"
#include "dataplane/proxy/kept_bytes.hpp"
#include "dataplane/proxy/listener_config.hpp"

namespace lb::proxy {

struct Session;

// A second dial, under way while the first one is.
struct Hedge {
  net::Fd fd;
  std::shared_ptr<BackendRecord> backend;
  uint8_t dial = 0;           // as Session::dial
  uint64_t ends = 0;          // when it has taken too long
  BackendLink link = {};      // once it is connected, where TLS is spoken with backends
  bool end_in_sight = false;  // see Direction
};

struct Rescue {
  std::vector<Endpoint> tried;    // in vain
  std::optional<KeptBytes> kept;  // none: a replay is not possible, or no longer
  bool replayed = false;          // the present backend is not the first to be connected
  bool hedged = false;            // once for a connection
  uint64_t hedge_at = 0;          // when a second dial is due; 0: none is
  std::unique_ptr<Hedge> hedge;
  uint64_t waits_since = 0;
  uint64_t wait_ends = 0;  // for all times that it waits for a backend together; 0: has not waited
  std::list<Session*>::iterator place;  // in its listener's queue, while it waits
};

}  // namespace lb::proxy
