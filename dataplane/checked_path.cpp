#include "dataplane/checked_path.hpp"

#include <algorithm>
#include <utility>

namespace lb::dataplane {
namespace {

proxy::Health to_proxy(health::Health value) {
  if (value == health::Health::kUnknown) return proxy::Health::kUnknown;
  return value == health::Health::kUp ? proxy::Health::kUp : proxy::Health::kDown;
}

bool has_checks(const Service& service) {
  return std::any_of(service.ports.begin(), service.ports.end(), [](const ServicePort& port) {
    return port.policy.health.type != HealthType::kNone;
  });
}

}  // namespace

CheckedPath::CheckedPath(
    asio::io_context& io, std::unique_ptr<proxy::DataPath> path,
    std::function<void(const proxy::BackendId&, const health::Verdict&)> on_change,
    int descriptor_line)
    : ForwardingPath(std::move(path)),
      on_change_(std::move(on_change)),
      prober_(io, {.descriptor_line = descriptor_line,
                   .on_change = [this](const auto& check, const auto& verdict) {
                     changed(check, verdict);
                   }}) {}

void CheckedPath::apply(std::shared_ptr<const DesiredState> state,
                        std::function<void(std::vector<Failure>)> done) {
  path().apply(state, [this, state, done = std::move(done)](std::vector<Failure> failed) {
    if (concerns_checks(diff(*state_, *state))) check(*state);
    state_ = state;
    done(std::move(failed));
  });
}

// A service that had checks, or has some now.
bool CheckedPath::concerns_checks(const StateDiff& change) const {
  const auto had = [&](const std::string& key) { return checked_services_.contains(key); };
  return std::any_of(change.removed.begin(), change.removed.end(), had) ||
         std::any_of(change.changed.begin(), change.changed.end(), [&](const Service& service) {
           return had(service.key) || has_checks(service);
         });
}

void CheckedPath::check(const DesiredState& state) {
  checks_.clear();
  checked_services_.clear();
  std::set<proxy::BackendId> checked;
  for (const auto& service : state.services) {
    if (!has_checks(service)) continue;
    checked_services_.insert(service.key);
    for (const auto& port : service.ports) {
      if (port.policy.health.type == HealthType::kNone) continue;
      for (const auto& backend : port.backends) {
        const proxy::BackendId id{service.key, port.port, port.protocol, backend.endpoint()};
        checks_[health::check_of(id.backend, port.policy.health, port.policy.proxy_protocol)]
            .push_back(id);
        checked.insert(id);
      }
    }
  }
  std::set<health::Check> wanted;
  for (const auto& [each, backends] : checks_) wanted.insert(each);
  prober_.set(wanted);
  for (const auto& id : checked_) {
    if (!checked.contains(id)) path().set_health(id, proxy::Health::kUnknown, {});
  }
  checked_ = std::move(checked);
  // A check that only got other numbers keeps what it knew, without a call.
  for (const auto& [each, backends] : checks_) {
    const auto verdict = prober_.verdict(each);
    for (const auto& id : backends) tell(id, verdict);
  }
}

void CheckedPath::tell(const proxy::BackendId& id, const health::Verdict& verdict) {
  path().set_health(id, to_proxy(verdict.health), verdict.reason);
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
  path().drain(grace_ms, std::move(done));
}

void CheckedPath::stop() {
  prober_.stop();
  path().stop();
}

}  // namespace lb::dataplane
