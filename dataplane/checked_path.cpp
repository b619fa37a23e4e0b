#include "dataplane/checked_path.hpp"

#include <utility>

namespace lb::dataplane {
namespace {

proxy::Health to_proxy(health::Health value) {
  if (value == health::Health::kUnknown) return proxy::Health::kUnknown;
  return value == health::Health::kUp ? proxy::Health::kUp : proxy::Health::kDown;
}

}  // namespace

CheckedPath::CheckedPath(
    asio::io_context& io, std::unique_ptr<proxy::DataPath> path,
    std::function<void(const proxy::BackendId&, const health::Verdict&)> on_change,
    int descriptor_line)
    : path_(std::move(path)),
      on_change_(std::move(on_change)),
      prober_(io, {.descriptor_line = descriptor_line,
                   .on_change = [this](const auto& check, const auto& verdict) {
                     changed(check, verdict);
                   }}) {}

void CheckedPath::apply(std::shared_ptr<const DesiredState> state,
                        std::function<void(std::vector<Failure>)> done) {
  path_->apply(state, [this, state, done = std::move(done)](std::vector<Failure> failed) {
    check(*state);
    done(std::move(failed));
  });
}

void CheckedPath::check(const DesiredState& state) {
  checks_.clear();
  std::set<proxy::BackendId> checked;
  for (const auto& service : state.services) {
    for (const auto& port : service.ports) {
      if (port.policy.health.type == HealthType::kNone) continue;
      for (const auto& backend : port.backends) {
        const proxy::BackendId id{service.key, port.port, port.protocol, backend.endpoint()};
        checks_[health::check_of(id.backend, port.policy.health)].push_back(id);
        checked.insert(id);
      }
    }
  }
  std::set<health::Check> wanted;
  for (const auto& [each, backends] : checks_) wanted.insert(each);
  prober_.set(wanted);
  for (const auto& id : checked_) {
    if (!checked.contains(id)) path_->set_health(id, proxy::Health::kUnknown, {});
  }
  checked_ = std::move(checked);
  // A check that only got other numbers keeps what it knew, without a call.
  for (const auto& [each, backends] : checks_) {
    const auto verdict = prober_.verdict(each);
    for (const auto& id : backends) tell(id, verdict);
  }
}

void CheckedPath::tell(const proxy::BackendId& id, const health::Verdict& verdict) {
  path_->set_health(id, to_proxy(verdict.health), verdict.reason);
}

void CheckedPath::changed(const health::Check& check, const health::Verdict& verdict) {
  const auto found = checks_.find(check);
  if (found == checks_.end()) return;
  for (const auto& id : found->second) {
    tell(id, verdict);
    if (on_change_) on_change_(id, verdict);
  }
}

// Whether backends are well no longer matters to anybody new.
void CheckedPath::drain(unsigned grace_ms, std::function<void()> done) {
  prober_.stop();
  path_->drain(grace_ms, std::move(done));
}

void CheckedPath::stop() {
  prober_.stop();
  path_->stop();
}

}  // namespace lb::dataplane
