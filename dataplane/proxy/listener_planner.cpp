#include "dataplane/proxy/listener_planner.hpp"

#include <algorithm>
#include <map>
#include <new>
#include <string_view>
#include <utility>

#include "common/model/diff.hpp"
#include "common/model/support.hpp"
#include "dataplane/balance/hash.hpp"
#include "dataplane/proxy/dial_source.hpp"

namespace lb::proxy {

Failure listener_failure(const std::string& key, const ListenerId& id, const Error& error) {
  return {key, id.at.address, id.at.port, id.protocol, "", error.code, error.message, id.match};
}

Error out_of_memory() {
  return {kOutOfMemory, "this host is short of memory; tried again each second"};
}

bool drained(const std::set<Drain>& drains, const std::string& service, const Endpoint& backend) {
  return std::any_of(drains.begin(), drains.end(), [&](const Drain& drain) {
    return (drain.service.empty() || drain.service == service) &&
           (!drain.backend || *drain.backend == backend);
  });
}

uint64_t left_service(const ListenerConfig& before, const ListenerConfig& now) {
  const auto serving = [](const ListenerConfig& config) {
    std::set<const BackendRecord*> out;
    for (size_t i = 0; i < config.records.size(); ++i) {
      const auto& candidate = config.candidates[i];
      const bool serves = candidate.weight != 0 && candidate.state == BackendState::kReady;
      if (serves) out.insert(config.records[i].get());
    }
    return out;
  };
  const auto still = serving(now);
  const auto then = serving(before);
  return uint64_t(std::count_if(then.begin(), then.end(),
                                [&](const auto* record) { return !still.contains(record); }));
}

namespace {

// Beside those that serve already, who comes into service starts slowly. Where nobody serves, as at
// our own start, there is nobody to take the rest. `plan` counts those of this service.
void note_arrivals(const ListenerConfig& config, uint64_t plan, uint64_t now_ms) {
  const auto served = [plan](const auto& record) { return record->served_in + 1 >= plan; };
  const auto& records = config.records;
  const bool others = plan > 1 && std::any_of(records.begin(), records.end(), served);
  for (size_t i = 0; i < records.size(); ++i) {
    const auto& candidate = config.candidates[i];
    if (candidate.weight == 0 || candidate.state != BackendState::kReady) continue;
    if (others && !served(records[i])) {
      records[i]->joined = true;
      records[i]->came_back(now_ms);
    }
    records[i]->served_in = plan;
  }
}

using Backends = std::vector<const Backend*>;

// A listener uses backends of its own family, and a group those of the other one only where it has
// none of them.
Backends backends_for(const ServicePort& port, Family family) {
  const auto group_of = [&](const Backend& backend) {
    return port.groups.empty() ? std::string_view() : std::string_view(backend.group);
  };
  std::set<std::string_view> own;
  for (const auto& backend : port.backends) {
    if (backend.address.family() == family) own.insert(group_of(backend));
  }
  Backends out;
  for (const auto& backend : port.backends) {
    const bool other = backend.address.family() != family;
    if (!other || !own.contains(group_of(backend))) out.push_back(&backend);
  }
  return out;
}

// Empty where no node is named.
std::vector<uint32_t> numbered_nodes(const Backends& backends) {
  std::map<std::string_view, uint32_t> numbers{{"", 0}};
  std::vector<uint32_t> out;
  for (const Backend* backend : backends) {
    out.push_back(numbers.try_emplace(backend->node, uint32_t(numbers.size())).first->second);
  }
  if (numbers.size() == 1) out = {};
  return out;
}

ListenerGroups groups_of(const ServicePort& port, ListenerCounts& kept) {
  ListenerGroups out;
  for (const auto& group : port.groups) {
    const auto known = std::find_if(kept.groups.begin(), kept.groups.end(),
                                    [&](const auto& each) { return each->name == group.name; });
    out.records.push_back(known != kept.groups.end() ? *known
                                                     : std::make_shared<GroupRecord>(group.name));
    out.shares.push_back({balance::hash_of(group.name), group.weight});
    out.sources.push_back(group.sources);
  }
  kept.groups = out.records;
  return out;
}

// Of a port's groups, sorted by name; 0 where there are none.
uint16_t group_index(const std::vector<BackendGroup>& groups, const std::string& name) {
  const auto found = std::lower_bound(groups.begin(), groups.end(), name,
                                      [](const auto& g, const auto& n) { return g.name < n; });
  return uint16_t(found - groups.begin());
}

template <class Table>
std::shared_ptr<Table> make_table(const std::shared_ptr<SourceTotals>& totals) {
  return std::make_shared<Table>(kMaxSources, process_hash_seed(), totals);
}

}  // namespace

std::set<ListenerId> ListenerPlanner::plan(std::shared_ptr<const DesiredState> state,
                                           uint64_t now_ms) {
  now_ms_ = now_ms;
  if (certificates_) other_certificates_.merge(certificates_->take_changed());
  std::set<ListenerId> touched;
  try {
    touched = plan_what_differs(*state);
  } catch (const std::bad_alloc&) {
    distrust();
    throw;
  }
  state_ = std::move(state);
  former_.clear();
  other_certificates_.clear();
  const bool grown = remembered() > swept_ + swept_ / 4 + 64;
  if (grown || since_sweep_ > 4 * listeners_.size() + 64) sweep();
  return touched;
}

std::set<ListenerId> ListenerPlanner::plan_what_differs(const DesiredState& state) {
  std::set<ListenerId> touched;
  if (plan_changed(state, touched)) return touched;
  for (const auto& [id, planned] : planned_) touched.insert(id);
  plan_all(state);
  for (const auto& [id, planned] : planned_) touched.insert(id);
  return touched;
}

// False: services contest a listener, and who gets it is a matter of all of them.
bool ListenerPlanner::plan_changed(const DesiredState& state, std::set<ListenerId>& touched) {
  if (contested_) return false;
  const StateDiff change = diff(*state_, state);
  std::set<std::string> keys(change.removed.begin(), change.removed.end());
  for (const auto& service : change.changed) keys.insert(service.key);
  keys.merge(with_other_certificates(state));
  // Gone first: a listener may have gone over from one service to another.
  for (const auto& key : keys) forget(key, touched);
  for (const auto& key : change.removed) plans_.erase(key);
  for (const auto& key : keys) {
    auto each = std::lower_bound(state.services.begin(), state.services.end(), key,
                                 [](const Service& s, const std::string& k) { return s.key < k; });
    if (each != state.services.end() && each->key == key) begin_plan(key);
    for (; each != state.services.end() && each->key == key; ++each) {
      if (!plan_service(*each)) return false;
    }
    const auto listeners = listeners_.find(key);
    if (listeners == listeners_.end()) continue;
    touched.insert(listeners->second.begin(), listeners->second.end());
  }
  return true;
}

void ListenerPlanner::plan_all(const DesiredState& state) {
  // The old plan keeps counts and records alive that the new one takes over.
  const auto old = std::exchange(planned_, {});
  for (const auto& [id, planned] : old) former_[planned.key].push_back(planned.config);
  listeners_.clear();
  refused_.clear();
  contested_ = false;
  const std::string* last = nullptr;
  for (const auto& service : state.services) {
    if (last == nullptr || *last != service.key) begin_plan(service.key);
    last = &service.key;
    if (!plan_service(service)) contested_ = true;
  }
}

// A service may be in several pieces; all of them are of one plan.
void ListenerPlanner::begin_plan(const std::string& key) { ++plans_[key]; }

void ListenerPlanner::forget(const std::string& key, std::set<ListenerId>& touched) {
  refused_.erase(key);
  const auto listeners = listeners_.find(key);
  if (listeners == listeners_.end()) return;
  for (const auto& id : listeners->second) {
    touched.insert(id);
    const auto planned = planned_.find(id);
    former_[key].push_back(std::move(planned->second.config));
    planned_.erase(planned);
  }
  listeners_.erase(listeners);
}

// False: another service has one of its listeners.
bool ListenerPlanner::plan_service(const Service& service) {
  ++since_sweep_;
  bool alone = true;
  auto& listeners = listeners_[service.key];
  for (const auto& address : service.addresses) {
    for (const auto& port : service.ports) {
      const ListenerId id{{address, port.port}, port.protocol, port.match};
      if (const auto why = unsupported(port)) {
        refused_[service.key].push_back(listener_failure(service.key, id, {"Unsupported", *why}));
      } else if (planned_.contains(id)) {
        alone = false;
        refused_[service.key].push_back(listener_failure(
            service.key, id, {"Conflict", id.at.to_string() + " is another service's"}));
      } else if (auto tls = terms(service, port); !tls) {
        refused_[service.key].push_back(listener_failure(service.key, id, tls.error()));
      } else {
        note_missing(service.key, id, tls->ending.get());
        planned_[id] = {service.key, config(service, port, id, std::move(tls).value())};
        listeners.push_back(id);
      }
    }
  }
  return alone;
}

std::vector<Failure> ListenerPlanner::failures() const {
  std::vector<Failure> out;
  for (const auto& [key, refused] : refused_) {
    out.insert(out.end(), refused.begin(), refused.end());
  }
  return out;
}

void ListenerPlanner::set_drains(std::set<Drain> drains, uint64_t now_ms) {
  now_ms_ = now_ms;
  drains_ = std::move(drains);
  try {
    plan_all(*state_);
  } catch (const std::bad_alloc&) {
    distrust();
    throw;
  }
  former_.clear();
}

void ListenerPlanner::sweep() {
  since_sweep_ = 0;
  std::erase_if(records_, [](const auto& each) { return each.second.expired(); });
  std::erase_if(counts_, [](const auto& each) { return each.second.expired(); });
  std::erase_if(plans_, [this](const auto& each) { return !listeners_.contains(each.first); });
  swept_ = remembered();
}

std::shared_ptr<const ListenerConfig> ListenerPlanner::config(
    const Service& service, const ServicePort& port, const ListenerId& id, Terms terms) {
  auto out = std::make_shared<ListenerConfig>();
  out->tls = std::move(terms.ending);
  out->backend_tls = std::move(terms.backend);
  out->key = service.key;
  out->address = id.at;
  out->protocol = id.protocol;
  out->match = id.match;
  if (!id.match.empty()) out->lobby = counts({"", id.door()});
  out->policy = port.policy;
  take_over_counts(service, id);
  out->counts = counts({service.key, id});
  const Policy& policy = port.policy;
  out->options = {policy.health.panic_percent, policy.prefer_zone && !zone_.empty()};
  out->tuning = tuning_of(policy, port.protocol);
  ListenerCounts& kept = *out->counts;
  if (policy.max_connections_per_source != 0 || policy.max_rate_per_source != 0) {
    if (!kept.limits) kept.limits = make_table<SourceLimits>(source_totals_);
    out->limits = kept.limits;
  }
  if (policy.affinity_seconds != 0) {
    if (!kept.affinity) kept.affinity = make_table<AffinityTable>(source_totals_);
    out->affinity = kept.affinity;
  }
  out->groups = groups_of(port, kept);
  const Backends backends = backends_for(port, id.at.address.family());
  for (const Backend* backend : backends) {
    auto known = record({service.key, port.port, port.protocol, backend->endpoint()});
    known->drained = drained(drains_, service.key, backend->endpoint());
    const uint16_t weight = known->drained ? uint16_t{0} : backend->weight;
    out->candidates.push_back({.weight = weight,
                               .state = backend->state,
                               .near = !zone_.empty() && backend->zone == zone_,
                               .group = group_index(port.groups, backend->group),
                               .identity = balance::hash_of(backend->endpoint())});
    out->records.push_back(std::move(known));
  }
  out->nodes = numbered_nodes(backends);
  note_arrivals(*out, plans_[service.key], now_ms_);
  return out;
}

std::shared_ptr<BackendRecord> ListenerPlanner::find(const BackendId& id) const {
  const auto known = records_.find(id);
  return known == records_.end() ? nullptr : known->second.lock();
}

std::shared_ptr<BackendRecord> ListenerPlanner::record(const BackendId& key) {
  auto& known = records_[key];
  auto held = known.lock();
  if (held) return held;
  held = std::make_shared<BackendRecord>(key.backend, key.protocol, workers_);
  held->service = key.key;
  held->port = key.port;
  known = held;
  return held;
}

// A service that changes its match at a door is the same one still: its connections, limits and
// counts go on.
void ListenerPlanner::take_over_counts(const Service& service, const ListenerId& id) {
  const auto known = counts_.find({service.key, id});
  if (known != counts_.end() && !known->second.expired()) return;
  const auto former = former_.find(service.key);
  if (former == former_.end()) return;
  for (const auto& config : former->second) {
    const ListenerId then{config->address, config->protocol, config->match};
    if (then.door() != id.door()) continue;
    const bool wanted = std::any_of(service.ports.begin(), service.ports.end(), [&](const auto& p) {
      return p.port == id.at.port && p.protocol == id.protocol && p.match == then.match;
    });
    const auto held = counts_.find({service.key, then});
    if (wanted || held == counts_.end() || held->second.expired()) continue;
    counts_[{service.key, id}] = held->second;
    counts_.erase({service.key, then});
    return;
  }
}

std::shared_ptr<ListenerCounts> ListenerPlanner::counts(const CountsKey& key) {
  auto& known = counts_[key];
  auto held = known.lock();
  if (!held) known = held = std::make_shared<ListenerCounts>(workers_);
  return held;
}

void ListenerPlanner::avoid_sources(const std::set<IpAddress>& ours) {
  const auto local = net::interface_addresses();
  const bool at_risk = may_be_chosen(local, ours);
  for (const auto& [key, weak] : records_) {
    const auto record = weak.lock();
    if (!record) continue;
    uint32_t source = 0;
    const auto chosen = at_risk ? net::route_source(record->endpoint.address) : std::nullopt;
    if (chosen && chosen->is_v4() && ours.contains(*chosen)) {
      const auto instead = source_instead_of(*chosen, local, ours);
      if (instead) source = instead->to_v4();
    }
    record->source_v4.store(source, std::memory_order_relaxed);
  }
}

}  // namespace lb::proxy
