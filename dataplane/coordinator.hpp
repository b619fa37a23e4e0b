// Holds the desired state and brings the byte path to it, one change at a time.
//
// Owned and called by the control thread only; DataPath::apply answers on that same thread. The
// order rules are judged when a change reaches the head of the queue, against what is held then, so
// two publishers can never both win. A refused change alters nothing. Does not throw.
#pragma once

#include <deque>
#include <functional>
#include <memory>
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

  // `path` outlives the coordinator or is stopped before it goes; `on_held` is told of every state
  // that was accepted, before the byte path has applied it.
  Coordinator(proxy::DataPath& path, OwnSockets own, std::function<void(Held)> on_held = {});
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  void put(DesiredState offered, Answer answer);
  void patch(StatePatch offered, Answer answer);

  // What was accepted last, whether or not it is applied yet; never null.
  const Held& held() const { return held_; }
  // Listeners and backends of the last applied state that are not served now.
  std::vector<Failure> failed() const;
  // Whether a state has been applied since start.
  bool applied() const { return applied_; }
  // Whether what is held is what is served: nothing is being applied or waits to be.
  bool settled() const { return applied_ && !busy_ && queue_.empty(); }

 private:
  struct Change {
    std::variant<DesiredState, StatePatch> offered;
    Answer answer;
  };

  void enqueue(Change change);
  void pump();
  void begin(Change change);
  void finish(Version version, std::vector<Failure> refused, std::vector<Failure> unbound,
              const Answer& answer);
  Result<DesiredState> judge(Change& change) const;

  proxy::DataPath& path_;
  Admitter admitter_;
  const std::function<void(Held)> on_held_;
  Held held_ = std::make_shared<const DesiredState>();
  std::vector<Failure> refused_;  // at admission, of the last applied state
  std::deque<Change> queue_;
  bool applied_ = false;
  bool busy_ = false;     // an apply is under way
  bool pumping_ = false;  // keeps a data path that answers at once from recursing
};

}  // namespace lb::dataplane
