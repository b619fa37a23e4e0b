#include "dataplane/proxy/listener_planner.hpp"

#include <algorithm>

#include "common/model/support.hpp"
#include "dataplane/balance/hash.hpp"
#include "dataplane/proxy/dial_source.hpp"

namespace lb::proxy {

Failure listener_failure(const std::string& key, const ListenerId& id, const Error& error) {
  return {key, id.at.address, id.at.port, id.protocol, "", error.code, error.message};
}

bool drained(const std::set<Drain>& drains, const std::string& service, const Endpoint& backend) {
  return std::any_of(drains.begin(), drains.end(), [&](const Drain& drain) {
    return (drain.service.empty() || drain.service == service) &&
           (!drain.backend || *drain.backend == backend);
  });
}

namespace {

// Beside those that serve already, who comes into service starts slowly. Where nobody serves, as at
// our own start, there is nobody to take the rest.
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

}  // namespace

PlannedListeners ListenerPlanner::plan(const DesiredState& state, std::vector<Failure>& failed,
                                       uint64_t now_ms) {
  std::erase_if(records_, [](const auto& each) { return each.second.expired(); });
  std::erase_if(counts_, [](const auto& each) { return each.second.expired(); });
  ++plans_;
  PlannedListeners out;
  for (const auto& service : state.services) {
    for (const auto& address : service.addresses) {
      for (const auto& port : service.ports) {
        const ListenerId id{{address, port.port}, port.protocol};
        if (const auto why = unsupported(port)) {
          failed.push_back(listener_failure(service.key, id, {"Unsupported", *why}));
        } else if (out.contains(id)) {
          failed.push_back(listener_failure(
              service.key, id, {"Conflict", id.at.to_string() + " is another service's"}));
        } else {
          out[id] = {service.key, config(service, port, id, now_ms)};
        }
      }
    }
  }
  return out;
}

// A listener uses backends of its own family, and the other family only when it has none.
std::shared_ptr<const ListenerConfig> ListenerPlanner::config(const Service& service,
                                                              const ServicePort& port,
                                                              const ListenerId& id,
                                                              uint64_t now_ms) {
  auto out = std::make_shared<ListenerConfig>();
  out->key = service.key;
  out->address = id.at;
  out->policy = port.policy;
  out->counts = counts({service.key, id});
  const Policy& policy = port.policy;
  out->options = {policy.health.panic_percent, policy.prefer_zone && !zone_.empty()};
  out->tuning = tuning_of(policy, port.protocol);
  ListenerCounts& kept = *out->counts;
  if (policy.max_connections_per_source != 0 || policy.max_rate_per_source != 0) {
    if (!kept.limits) kept.limits = std::make_shared<SourceLimits>();
    out->limits = kept.limits;
  }
  if (policy.affinity_seconds != 0) {
    if (!kept.affinity) kept.affinity = std::make_shared<AffinityTable>();
    out->affinity = kept.affinity;
  }
  const Family family = id.at.address.family();
  const bool own = std::any_of(port.backends.begin(), port.backends.end(),
                               [&](const Backend& b) { return b.address.family() == family; });
  for (const auto& backend : port.backends) {
    if (own && backend.address.family() != family) continue;
    auto known = record({service.key, port.port, port.protocol, backend.endpoint()});
    known->drained = drained(drains_, service.key, backend.endpoint());
    const uint16_t weight = known->drained ? uint16_t{0} : backend.weight;
    out->candidates.push_back({.weight = weight,
                               .state = backend.state,
                               .near = !zone_.empty() && backend.zone == zone_,
                               .identity = balance::hash_of(backend.endpoint())});
    out->records.push_back(std::move(known));
  }
  note_arrivals(*out, plans_, now_ms);
  return out;
}

std::shared_ptr<BackendRecord> ListenerPlanner::find(const BackendId& id) const {
  const auto known = records_.find(id);
  return known == records_.end() ? nullptr : known->second.lock();
}

std::shared_ptr<BackendRecord> ListenerPlanner::record(const BackendId& key) {
  auto& known = records_[key];
  auto held = known.lock();
  if (!held) known = held = std::make_shared<BackendRecord>(key.backend, key.protocol, workers_);
  return held;
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
