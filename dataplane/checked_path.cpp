#include "dataplane/checked_path.hpp"

#include <algorithm>
#include <utility>

namespace lb::dataplane {
namespace {

proxy::Health to_proxy(health::Health value) {
  if (value == health::Health::kUnknown) return proxy::Health::kUnknown;
  return value == health::Health::kUp ? proxy::Health::kUp : proxy::Health::kDown;
}

void add_checks(const Service& service, std::map<proxy::BackendId, health::Check>& out) {
  for (const auto& port : service.ports) {
    const HealthPolicy& policy = port.policy.health;
    if (policy.type == HealthType::kNone) continue;
    for (const auto& backend : port.backends) {
      const Endpoint endpoint = backend.endpoint();
      out.emplace(proxy::BackendId{service.key, port.port, port.protocol, endpoint},
                  health::check_of(endpoint, policy, port.policy.proxy_protocol));
    }
  }
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
    const auto keys = to_look_at(*state);
    unchecked_ = true;  // until all of it is done: memory may run out in the middle
    for (const auto& key : keys) check(key, *state);
    failed_.clear();
    for (const auto& each : failed) failed_.insert(each.key);
    unchecked_ = false;
    state_ = state;
    done(std::move(failed));
  });
}

// What has changed, and what another service stood in the way of: its backends may be new.
std::set<std::string> CheckedPath::to_look_at(const DesiredState& state) const {
  std::set<std::string> out = failed_;
  const StateDiff change = diff(unchecked_ ? DesiredState{} : *state_, state);
  for (const auto& service : change.changed) out.insert(service.key);
  out.insert(change.removed.begin(), change.removed.end());
  if (!unchecked_) return out;
  for (const auto& [key, asked] : asked_) out.insert(key);
  return out;
}

// What is done half-way for want of memory can be done again.
void CheckedPath::check(const std::string& key, const DesiredState& state) {
  Wanted wanted;
  auto service = std::lower_bound(state.services.begin(), state.services.end(), key,
                                  [](const Service& s, const std::string& k) { return s.key < k; });
  // A service may be in several pieces.
  for (; service != state.services.end() && service->key == key; ++service) {
    add_checks(*service, wanted);
  }
  if (wanted.empty() && !asked_.contains(key)) return;
  Asked& asked = asked_[key];
  ask(asked, wanted);
  drop(asked, wanted);
  // A check that only got other numbers keeps what it knew, without a call.
  for (const auto& [id, each] : asked) tell(id, prober_.verdict(each));
  if (asked.empty()) asked_.erase(key);
}

void CheckedPath::ask(Asked& asked, const Wanted& wanted) {
  for (const auto& [id, check] : wanted) {
    asked.emplace(id, check);
    checks_[check].insert(id);
    prober_.want(id.key, check);
  }
}

void CheckedPath::drop(Asked& asked, const Wanted& wanted) {
  for (auto each = asked.begin(); each != asked.end();) {
    const auto& [id, check] = *each;
    const auto now = wanted.find(id);
    if (now != wanted.end() && now->second == check) {
      ++each;
      continue;
    }
    if (now == wanted.end()) path().set_health(id, proxy::Health::kUnknown, {});
    drop(id, check);
    each = asked.erase(each);
  }
}

void CheckedPath::drop(const proxy::BackendId& id, const health::Check& check) {
  const auto about = checks_.find(check);
  if (about == checks_.end()) return;
  auto& backends = about->second;
  backends.erase(id);
  // Another port of the service may ask the same.
  const auto same = backends.lower_bound(proxy::BackendId{id.key, 0, Protocol::kTcp, {}});
  if (same == backends.end() || same->key != id.key) prober_.forget(id.key, check);
  if (backends.empty()) checks_.erase(about);
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
