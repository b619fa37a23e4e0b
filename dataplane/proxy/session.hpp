// One relayed connection: a client's socket, a backend's, and a Direction each way.
//
// A record without behaviour of its own; RelayEngine owns it, drives it and deletes it at the end
// of the batch of events in which it died. It lives on one worker's thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "common/net/fd.hpp"
#include "dataplane/proxy/direction.hpp"
#include "dataplane/proxy/flow.hpp"
#include "dataplane/proxy/listener_config.hpp"
#include "dataplane/proxy/timer_wheel.hpp"

namespace lb::proxy {

struct LiveListener;

// Index of a side; directions are numbered by their source.
inline constexpr int kClient = 0;
inline constexpr int kBackend = 1;

enum class Phase : uint8_t {
  kGreeting,  // a trusted proxy has still to say for whom it speaks
  kDialling,
  kRelaying,
  kResetting,  // one peer is gone: the other gets what came before, then a reset
  kLingering,  // over, but for what the kernel has still to deliver (half_close: false)
  kDead,
};

// Deadlines of the policy count; in the other phases the session has a clock of its own.
inline bool timed_by_policy(Phase phase) {
  return phase == Phase::kGreeting || phase == Phase::kDialling || phase == Phase::kRelaying;
}

// Only where the policy or the log needs to know the client.
struct SessionDetails {
  ~SessionDetails() { leave(); }
  // Its place within the limits is free again.
  void leave() {
    if (limits) limits->leave(client->address);
    limits.reset();
  }

  std::optional<Endpoint> client;        // the one that a trusted proxy names, where there is one
  std::optional<Endpoint> destination;   // as a trusted proxy names it
  std::shared_ptr<SourceLimits> limits;  // which count this connection; null: none
  bool logged = false;
  std::optional<Endpoint> backend;  // the last one that was dialled
  std::optional<uint32_t> connect_ms;
  uint32_t retries = 0;
};

struct Session : TimerEntry {
  std::shared_ptr<LiveListener> listener;
  std::shared_ptr<BackendRecord> backend;
  net::Fd side[2];
  Direction from[2];
  bool shut[2] = {false, false};  // FIN sent to that side
  Phase phase = Phase::kDialling;
  EndReason end = EndReason::kClientFin;
  bool end_known = false;
  uint8_t survivor = 0;         // while resetting: who is still there
  bool queued = false;          // has used up its turn
  bool counted = false;         // in the listener's connections
  bool unacknowledged = false;  // at the last look something was still on its way
  bool nodelay = false;         // set on the backend's socket
  bool keepalive = false;       // the same
  uint32_t index = 0;           // in the listener's list
  uint64_t serial = 0;          // of this worker
  uint64_t began = 0;           // ms, as are the next five; accepted
  uint64_t phase_ends = 0;      // 0: no limit
  uint64_t drain_ends = 0;
  uint64_t last_active = 0;
  uint64_t check_at = 0;                         // next look at whether the peers still live
  uint64_t checked_bytes = 0;                    // what had moved at the last look
  std::unique_ptr<std::vector<Endpoint>> tried;  // null unless a dial has failed
  std::unique_ptr<SessionDetails> details;

  size_t attempts() const { return tried ? tried->size() : 0; }
};

struct LiveListener {
  net::Fd fd;  // invalid: another worker accepts
  bool one_socket = false;
  std::shared_ptr<const ListenerConfig> config;
  std::shared_ptr<ListenerCounts> counts;
  std::shared_ptr<PortStats> stats;  // this worker's
  std::unique_ptr<balance::Picker> picker;
  std::vector<Session*> sessions;
};

}  // namespace lb::proxy
