#include "dataplane/coordinator.hpp"

#include <iterator>
#include <utility>

namespace lb::dataplane {

Coordinator::Coordinator(proxy::DataPath& path, OwnSockets own, std::function<void(Held)> on_held)
    : path_(path), admitter_(std::move(own)), on_held_(std::move(on_held)) {}

void Coordinator::put(DesiredState offered, Answer answer) {
  enqueue({std::move(offered), std::move(answer)});
}

void Coordinator::patch(StatePatch offered, Answer answer) {
  enqueue({std::move(offered), std::move(answer)});
}

void Coordinator::enqueue(Change change) {
  queue_.push_back(std::move(change));
  pump();
}

void Coordinator::pump() {
  if (pumping_) return;
  pumping_ = true;
  while (!busy_ && !queue_.empty()) {
    Change next = std::move(queue_.front());
    queue_.pop_front();
    begin(std::move(next));
  }
  pumping_ = false;
}

Result<DesiredState> Coordinator::judge(Change& change) const {
  if (auto* patch = std::get_if<StatePatch>(&change.offered)) return apply_patch(*held_, *patch);
  auto& state = std::get<DesiredState>(change.offered);
  if (const Status order = check_put(*held_, state); !order.ok()) return order.error();
  share_equal(*held_, state);
  return std::move(state);
}

void Coordinator::begin(Change change) {
  auto judged = judge(change);
  if (!judged.ok()) {
    change.answer(judged.error());
    return;
  }
  held_ = std::make_shared<const DesiredState>(std::move(judged).value());
  if (on_held_) on_held_(held_);
  busy_ = true;
  Admission admission = admitter_.admit(*held_);
  auto admitted = std::make_shared<const DesiredState>(std::move(admission.admitted));
  path_.apply(std::move(admitted),
              [this, version = held_->version, answer = change.answer,
               refused = std::move(admission.failed)](std::vector<Failure> unbound) mutable {
                finish(version, std::move(refused), std::move(unbound), answer);
              });
}

void Coordinator::finish(Version version, std::vector<Failure> refused,
                         std::vector<Failure> unbound, const Answer& answer) {
  refused_ = refused;
  applied_ = true;
  busy_ = false;
  refused.insert(refused.end(), std::make_move_iterator(unbound.begin()),
                 std::make_move_iterator(unbound.end()));
  answer(ApplyResult{version, std::move(refused)});
  pump();
}

std::vector<Failure> Coordinator::failed() const {
  std::vector<Failure> out = refused_;
  const auto unbound = path_.failures();
  out.insert(out.end(), unbound.begin(), unbound.end());
  return out;
}

}  // namespace lb::dataplane
