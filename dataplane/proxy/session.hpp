// One relayed connection: a client's socket, a backend's, and a Direction each way.
//
// A record without behaviour of its own; RelayEngine owns it, drives it (STATES.md draws how) and
// deletes it at the end of the batch of events in which it died. It lives on one worker's thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "common/net/fd.hpp"
#include "dataplane/proxy/backend_link.hpp"
#include "dataplane/proxy/direction.hpp"
#include "dataplane/proxy/flow.hpp"
#include "dataplane/proxy/listener_config.hpp"
#include "dataplane/proxy/rescue.hpp"
#include "dataplane/proxy/timer_wheel.hpp"

namespace lb::proxy {

struct LiveListener;

// Index of a side; directions are numbered by their source.
inline constexpr int kClient = 0;
inline constexpr int kBackend = 1;

enum class Phase : uint8_t {
  kGreeting,  // a trusted proxy has still to say for whom it speaks
  kSecuring,  // TLS ends here: client and we agree on keys
  kWaiting,   // nobody is there to be dialled (when_empty: wait)
  kDialling,
  kSecuringBackend,  // TLS towards the backend: it and we agree on keys
  kRelaying,
  kResetting,  // one peer is gone: the other gets what came before, then a reset
  kLingering,  // over, but for what the kernel has still to deliver (half_close: false)
  kDead,
};

// No backend has the connection yet, and another may get it.
inline bool is_dialling(Phase phase) {
  return phase == Phase::kDialling || phase == Phase::kSecuringBackend;
}

// Deadlines of the policy count; in the other phases the session has a clock of its own.
inline bool timed_by_policy(Phase phase) {
  return phase == Phase::kGreeting || phase == Phase::kSecuring || phase == Phase::kWaiting ||
         is_dialling(phase) || phase == Phase::kRelaying;
}

// From the connect to the first look at whether the peers still live: most connections are over by
// then, and cost none.
inline constexpr uint64_t kFirstLookMs = 5000;

// Only where the policy or the log needs to know the client, or TLS is spoken.
struct SessionDetails {
  ~SessionDetails() { leave(); }
  // Its place within the limits is free again.
  void leave() {
    if (limits) limits->leave(client->address);
    limits.reset();
  }

  std::optional<Endpoint> client;         // the one that a trusted proxy names, where there is one
  std::optional<Endpoint> introduced_by;  // that proxy, where others at the door trust another
  std::optional<Endpoint> destination;    // as a trusted proxy names it
  std::shared_ptr<SourceLimits> limits;   // which count this connection; null: none
  bool logged = false;
  std::optional<Refusal> refusal;
  std::optional<Endpoint> backend;  // the last one that was dialled
  std::optional<uint32_t> connect_ms;
  uint32_t retries = 0;
  uint32_t replays = 0;                 // of these, after a connect that had worked
  bool hedge_won = false;               // the second dial was the faster one
  uint64_t waited_ms = 0;               // for a backend to be there
  std::unique_ptr<tls::TlsStream> tls;  // towards the client; null: its bytes are passed on as is
  BackendLink link;                     // towards the backend
};

struct Session : TimerEntry {
  std::shared_ptr<LiveListener> listener;
  std::shared_ptr<BackendRecord> backend;
  net::Fd side[2];
  Direction from[2];
  bool shut[2] = {false, false};  // FIN sent to that side
  Phase phase = Phase::kDialling;
  EndReason end = EndReason::kClientFin;
  bool end_known : 1 = false;
  uint8_t survivor = 0;             // while resetting: who is still there
  bool queued : 1 = false;          // has used up its turn
  bool fin_seen : 1 = false;        // of either side, though bytes before it may still wait
  bool counted = false;             // in the listener's connections
  bool unacknowledged : 1 = false;  // at the last look something was still on its way
  bool nodelay : 1 = false;         // set on the backend's socket
  bool keepalive : 1 = false;       // the same
  uint8_t stalled : 2 = 0;          // by side: not listened to for input; see relay_stall.cpp
  uint8_t dial = 0;                 // tells the present backend socket's events from a former one's
  uint32_t index = 0;               // in the listener's list
  uint64_t serial = 0;              // of this worker
  uint64_t began = 0;               // ms, as are the next five; accepted
  uint64_t phase_ends = 0;          // 0: no limit
  uint64_t drain_ends = 0;
  uint64_t last_active = 0;
  uint64_t check_at = 0;           // next look at whether the peers still live
  uint64_t checked_bytes = 0;      // what had moved at the last look
  std::unique_ptr<Rescue> rescue;  // null for most
  std::unique_ptr<SessionDetails> details;

  size_t attempts() const { return rescue ? rescue->tried.size() : 0; }
  bool hedging() const { return rescue && rescue->hedge; }
  bool keeping() const { return rescue && rescue->kept; }
  Rescue& need_rescue() {
    if (!rescue) rescue = std::make_unique<Rescue>();
    return *rescue;
  }
};
// With malloc's own word in front, 224 bytes.
static_assert(sizeof(Session) <= 216);

inline constexpr uint8_t kBothSides = 3;
inline uint8_t stall_bit(int side) { return static_cast<uint8_t>(1 << side); }
inline bool is_stalled(const Session& session, int side) {
  return (session.stalled & stall_bit(side)) != 0;
}

// What epoll(7) knows a descriptor by is an address, in whose low bits stand: the side, whether it
// is a listener's, and for backends' sockets which dial of their session it was.
inline constexpr uint64_t kSideBit = 1;
inline constexpr uint64_t kListenerBit = 2;
inline constexpr unsigned kDialShift = 2;
// With the listener's bit below the least address there may be: what else the set waits for, by its
// number.
inline constexpr uint64_t kLeastAddress = 4096;
inline constexpr unsigned kOtherShift = 4;
inline constexpr uint8_t kDials = 4;
inline constexpr uint64_t kSessionTagBits = 15;
static_assert(__STDCPP_DEFAULT_NEW_ALIGNMENT__ > kSessionTagBits, "sessions come from new");

inline uint64_t client_tag(const Session& session) { return reinterpret_cast<uint64_t>(&session); }

inline uint64_t backend_tag(const Session& session, uint8_t dial) {
  return reinterpret_cast<uint64_t>(&session) | kSideBit | uint64_t{dial} << kDialShift;
}

// Not that of a dial under way. Within a batch of events a session begins one dial at most for each
// that ends, so with four numbers no event that still waits in the batch is taken for another's.
inline uint8_t next_dial(const Session& session) {
  const auto next = uint8_t((session.dial + 1) % kDials);
  const bool taken = session.hedging() && session.rescue->hedge->dial == next;
  return taken ? uint8_t((next + 1) % kDials) : next;
}

}  // namespace lb::proxy
