// What a worker needs to know to serve one listener: an immutable value shared by all workers,
// replaced whole when the desired state changes.
//
// BackendRecord and ListenerCounts are the only parts that workers share and write; both are
// atomic and outlive configurations.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/model/state.hpp"
#include "dataplane/balance/picker.hpp"
#include "dataplane/balance/slow_start.hpp"
#include "dataplane/proxy/affinity_table.hpp"
#include "dataplane/proxy/groups.hpp"
#include "dataplane/proxy/socket_tuning.hpp"
#include "dataplane/proxy/source_limits.hpp"
#include "dataplane/proxy/stats.hpp"
#include "dataplane/proxy/told_reasons.hpp"
#include "dataplane/tls/client_tls.hpp"
#include "dataplane/tls/server_tls.hpp"

namespace lb::proxy {

enum class Ejection : uint8_t { kNone, kRefused, kTimeout, kInstantReset, kUnreachable, kTls };

// Whether a worker serves a listener at once, or from start_held() on.
enum class Begins : uint8_t { kNow, kWhenStarted };

// As it stands in status and log.
inline const char* reason(Ejection ejection) {
  constexpr const char* kNames[] = {"",             "Refused",     "Timeout",
                                    "InstantReset", "Unreachable", "Tls"};
  return kNames[static_cast<size_t>(ejection)];
}

using balance::Health;

struct BackendRecord {
  explicit BackendRecord(Endpoint where, Protocol how = Protocol::kTcp, size_t workers = 1)
      : endpoint(where), protocol(how), stats(workers) {}
  const Endpoint endpoint;
  const Protocol protocol;
  std::string service;              // its key, as is the next one; as the planner made it
  uint16_t port = 0;                // of the listener
  std::vector<BackendStats> stats;  // one for each worker
  std::atomic<uint64_t> connections{0};
  std::atomic<uint32_t> refusals{0};  // of any kind but timeouts, in a row, as are these
  std::atomic<uint32_t> timeouts{0};
  std::atomic<Ejection> ejected{Ejection::kNone};
  std::atomic<uint32_t> source_v4{0};  // host order, what dials leave from; 0: as routed
  ToldReasons told;                    // why TLS with it has failed

  std::atomic<Health> health{Health::kUnknown};
  std::atomic<uint64_t> back_since{0};  // ms of the steady clock; 0: has its full share
  std::string health_reason;            // of the control thread, as are the next five
  uint64_t turned_up = 0;               // from down; by its check, as is the next one
  uint64_t turned_down = 0;
  bool drained = false;    // by an operator
  uint64_t served_in = 0;  // the last plan in which it was ready, with a weight
  bool joined = false;     // others were there before; until a check first calls it up

  bool out() const { return ejected.load(std::memory_order_relaxed) != Ejection::kNone; }
  // Fit for nothing but want of a better one.
  bool unfit() const { return out() || health.load(std::memory_order_relaxed) == Health::kDown; }
  // As configured: nothing that happened since makes a difference to a pick.
  bool untouched() const {
    return !out() && health.load(std::memory_order_relaxed) == Health::kUnknown &&
           back_since.load(std::memory_order_relaxed) == 0;
  }

  // From now on it starts slowly, wherever a policy asks for that.
  void came_back(uint64_t now_ms) {
    back_since.store(std::max<uint64_t>(now_ms, 1), std::memory_order_relaxed);
  }
  // Permille of its weight; see slow_start.hpp.
  uint16_t share(uint64_t now_ms, uint32_t slow_start_s) {
    uint64_t since = back_since.load(std::memory_order_relaxed);
    if (since == 0) return 1000;
    const uint16_t out = balance::slow_start_share(now_ms - std::min(now_ms, since), slow_start_s);
    if (out == 1000) back_since.compare_exchange_strong(since, 0, std::memory_order_relaxed);
    return out;
  }

  // Counts one more failure of a kind; true when this one ejects the backend. `limit` 0: never.
  bool failed(Ejection cause, uint32_t limit) {
    auto& count = cause == Ejection::kTimeout ? timeouts : refusals;
    const uint32_t now = count.fetch_add(1, std::memory_order_relaxed) + 1;
    if (limit == 0 || now < limit) return false;
    auto none = Ejection::kNone;
    return ejected.compare_exchange_strong(none, cause);
  }

  // A client's connect worked: the row of timeouts ends.
  void connected() {
    if (timeouts.load(std::memory_order_relaxed) != 0) timeouts = 0;
  }

  // It has answered, or ended in order: the rows of failures end, an ejection does not.
  void succeeded() {
    if (refusals.load(std::memory_order_relaxed) != 0) refusals = 0;
    if (timeouts.load(std::memory_order_relaxed) != 0) timeouts = 0;
  }

  void readmit(uint64_t now_ms) {
    came_back(now_ms);  // first: nobody must see it in, and with its full share
    refusals = 0;
    timeouts = 0;
    ejected = Ejection::kNone;
  }
};

// Of one listener over all workers; outlives it while its last connections drain.
struct ListenerCounts {
  explicit ListenerCounts(size_t workers = 1) {
    for (size_t i = 0; i < workers; ++i) stats.push_back(std::make_shared<PortStats>());
  }

  std::atomic<uint64_t> connections{0};
  std::atomic<uint64_t> lingering{0};  // no longer counted, but not all of it is delivered
  std::vector<std::shared_ptr<PortStats>> stats;  // one for each worker
  // One more, unless that were above `most` (0: any number); exact whichever workers ask at once.
  bool enter(uint32_t most) {
    if (most == 0) {
      connections.fetch_add(1, std::memory_order_relaxed);
      return true;
    }
    uint64_t now = connections.load(std::memory_order_relaxed);
    while (now + lingering.load(std::memory_order_relaxed) < most) {
      if (connections.compare_exchange_weak(now, now + 1, std::memory_order_relaxed)) return true;
    }
    return false;
  }
  void leave() { connections.fetch_sub(1, std::memory_order_release); }
  // Something of it is still open.
  bool busy() const { return connections > 0 || lingering > 0; }

  uint64_t drains = 0;  // of the control thread: backends that were served, and no longer are

  // Of the control thread, which makes them when a policy first asks.
  std::shared_ptr<SourceLimits> limits;
  std::shared_ptr<AffinityTable> affinity;
  std::vector<std::shared_ptr<GroupRecord>> groups;  // as configured now; sorted by name
};

// Leaves where it is destroyed, unless somebody else does.
class EnteredPlace {
 public:
  explicit EnteredPlace(ListenerCounts& counts) : counts_(&counts) {}
  EnteredPlace(const EnteredPlace&) = delete;
  EnteredPlace& operator=(const EnteredPlace&) = delete;
  ~EnteredPlace() {
    if (counts_ != nullptr) counts_->leave();
  }
  void hand_over() { counts_ = nullptr; }

 private:
  ListenerCounts* counts_;
};

struct ListenerConfig {
  std::string key;  // of the service
  Endpoint address;
  Protocol protocol = Protocol::kTcp;
  Match match;  // which of the connections there
  Policy policy;
  std::vector<balance::Candidate> candidates;  // one per record, same order
  balance::PickOptions options;
  SocketTuning tuning;
  std::vector<std::shared_ptr<BackendRecord>> records;
  // One per record: equal numbers are on the same node, 0 is unknown. Empty: all are.
  std::vector<uint32_t> nodes;
  ListenerGroups groups;  // empty: all backends are one
  std::shared_ptr<ListenerCounts> counts = std::make_shared<ListenerCounts>();
  std::shared_ptr<ListenerCounts> lobby;    // of the door; null: this one asks for no match
  std::shared_ptr<SourceLimits> limits;     // null: no limit by source
  std::shared_ptr<AffinityTable> affinity;  // null: none

  std::shared_ptr<const tls::ServerTls> tls;          // null: TLS does not end here
  std::shared_ptr<const tls::ClientTls> backend_tls;  // null: backends get plain bytes

  // Whether who the client is matters later than at the door.
  bool keeps_client() const {
    return limits || affinity || tls || policy.proxy_protocol != ProxyProtocol::kOff ||
           !policy.accept_proxy_from.empty();
  }
  std::unique_ptr<balance::Picker> make_picker(size_t worker_index) const {
    return balance::make_picker(policy.balance, worker_index, groups.shares);
  }
  // Whether the other's picker, and what it remembers, serves this one as well.
  bool picks_like(const ListenerConfig& other) const {
    return policy.balance == other.policy.balance && groups.shares == other.groups.shares;
  }
  // None: there are no groups, or the backend has left the configuration, or is null.
  std::optional<uint16_t> group_of(const BackendRecord* backend) const {
    for (size_t i = 0; i < records.size() && !groups.empty(); ++i) {
      if (records[i].get() == backend) return candidates[i].group;
    }
    return std::nullopt;
  }
  // A connection to that backend was made.
  void count_for_group(const BackendRecord& backend) const {
    const auto group = group_of(&backend);
    if (group) groups.records[*group]->connections.fetch_add(1, std::memory_order_relaxed);
  }
};

}  // namespace lb::proxy
