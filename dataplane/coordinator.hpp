// Holds the desired state and brings the byte path to it, one change at a time.
//
// Owned and called by the control thread only; DataPath::apply answers on that same thread. The
// order rules are judged when a change reaches the head of the queue, against what is held then, so
// two publishers can never both win. A refused change alters nothing. A change for which memory
// runs out is answered "OutOfMemory", and the next one is taken: only put() and patch() themselves
// throw std::bad_alloc, and then the change was not taken.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <variant>
#include <vector>

#include "common/model/admission.hpp"
#include "common/model/diff.hpp"
#include "common/model/result.hpp"
#include "common/model/state.hpp"
#include "dataplane/proxy/data_path.hpp"

namespace lb::dataplane {

class Coordinator {
 public:
  using Answer = std::function<void(Result<ApplyResult>)>;
  using Held = std::shared_ptr<const DesiredState>;

  using LocalHosts = std::function<std::set<IpAddress>()>;

  // `path` outlives the coordinator or is stopped before it goes; `on_held` is told of every state
  // that was accepted, before the byte path has applied it. `local_hosts` is asked for this host's
  // addresses at each admission for which they matter; empty: they stay those of `own`.
  Coordinator(proxy::DataPath& path, OwnSockets own, std::function<void(Held)> on_held = {},
              LocalHosts local_hosts = {});
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  void put(DesiredState offered, Answer answer);
  void patch(StatePatch offered, Answer answer);

  // This host may have other addresses than before: what is held is judged anew, and applied where
  // that makes a difference. Cheap where it does not.
  void addresses_changed();

  // What was accepted last, whether or not it is applied yet; never null.
  const Held& held() const { return held_; }
  // Listeners and backends of the last applied state that are not served now.
  std::vector<Failure> failed() const;
  // Whether a state has been applied since start.
  bool applied() const { return applied_; }
  // Whether what is held is what is served: nothing is being applied or waits to be.
  bool settled() const { return applied_ && !busy_ && queue_.empty(); }

  // How often something was refused or left undone for want of memory.
  uint64_t memory_wants() const { return memory_wants_; }

 private:
  class Applying;
  struct SameState {};  // by other addresses of this host
  struct Change {
    std::variant<DesiredState, StatePatch, SameState> offered;
    Answer answer;
  };

  void enqueue(Change change);
  void pump();
  void begin(Change change);
  void attempt(Change& change);
  void apply(std::shared_ptr<const DesiredState> next, Change& change);
  void note_wildcards(const Change& change);
  bool meets_wildcard(const Service& service) const;
  bool look_at_addresses();
  void tell_held();
  void finish(Version version, std::vector<Failure> refused, std::vector<Failure> unbound,
              const Answer& answer);
  void lost(const Answer& answer);
  void refuse(const Answer& answer);
  Result<DesiredState> judge(Change& change) const;

  proxy::DataPath& path_;
  const std::set<uint16_t> own_wild_;  // TCP ports of our own servers that are on a wildcard
  Admitter admitter_;
  const std::function<void(Held)> on_held_;
  const LocalHosts local_hosts_;
  bool wildcards_ = false;  // a listener is, or was, on one, or a backend has a port of own_wild_
  Held held_ = std::make_shared<const DesiredState>();
  Held before_;                   // while a change is being begun
  std::vector<Failure> refused_;  // at admission, of the last applied state
  std::deque<Change> queue_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  uint64_t memory_wants_ = 0;
  bool applied_ = false;
  bool busy_ = false;     // an apply is under way
  bool pumping_ = false;  // keeps a data path that answers at once from recursing
};

}  // namespace lb::dataplane
