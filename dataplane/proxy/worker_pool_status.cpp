#include <algorithm>
#include <tuple>

#include "dataplane/proxy/panic.hpp"
#include "dataplane/proxy/worker_pool.hpp"

namespace lb::proxy {
namespace {

struct Sum {
  uint64_t DataPathCounters::*to;
  std::atomic<uint64_t> EngineCounters::*from;
};

// Closed first: read the other way round, the difference could be below zero.
constexpr Sum kSums[] = {
    {&DataPathCounters::closed, &EngineCounters::closed},
    {&DataPathCounters::accepted, &EngineCounters::accepted},
    {&DataPathCounters::bytes_in, &EngineCounters::bytes_in},
    {&DataPathCounters::bytes_out, &EngineCounters::bytes_out},
    {&DataPathCounters::splice_bytes, &EngineCounters::spliced},
    {&DataPathCounters::copy_bytes, &EngineCounters::copied},
    {&DataPathCounters::dials, &EngineCounters::dials},
    {&DataPathCounters::connect_refused, &EngineCounters::refused},
    {&DataPathCounters::connect_timeouts, &EngineCounters::connect_timeouts},
    {&DataPathCounters::connect_errors, &EngineCounters::connect_errors},
    {&DataPathCounters::retries, &EngineCounters::retries},
    {&DataPathCounters::no_backend, &EngineCounters::no_backend},
    {&DataPathCounters::resets_from_client, &EngineCounters::resets_from_client},
    {&DataPathCounters::resets_from_backend, &EngineCounters::resets_from_backend},
    {&DataPathCounters::drain_resets, &EngineCounters::drain_resets},
    {&DataPathCounters::ejections, &EngineCounters::ejections},
    {&DataPathCounters::dead_peers, &EngineCounters::dead_peers},
    {&DataPathCounters::source_refused, &EngineCounters::source_refused},
    {&DataPathCounters::idle_timeouts, &EngineCounters::idle_timeouts},
    {&DataPathCounters::accept_paused, &EngineCounters::accept_paused},
    {&DataPathCounters::stalls, &EngineCounters::stalls},
    {&DataPathCounters::pipe_fallbacks, &EngineCounters::pipe_fallbacks},
    {&DataPathCounters::client_gone_while_dialling, &EngineCounters::client_gone},
    {&DataPathCounters::killed, &EngineCounters::killed},
    {&DataPathCounters::limit_refused, &EngineCounters::limit_refused},
    {&DataPathCounters::proxy_headers_refused, &EngineCounters::proxy_headers_refused},
    {&DataPathCounters::client_hellos_refused, &EngineCounters::client_hellos_refused},
    {&DataPathCounters::unrouted, &EngineCounters::unrouted},
    {&DataPathCounters::tls_handshakes, &EngineCounters::tls_handshakes},
    {&DataPathCounters::tls_resumed, &EngineCounters::tls_resumed},
    {&DataPathCounters::tls_refused, &EngineCounters::tls_refused},
    {&DataPathCounters::tls_unknown_names, &EngineCounters::tls_unknown_names},
    {&DataPathCounters::tls_no_protocol, &EngineCounters::tls_no_protocol},
    {&DataPathCounters::tls_client_certificates_refused,
     &EngineCounters::tls_client_certificates_refused},
    {&DataPathCounters::tls_timeouts, &EngineCounters::tls_timeouts},
    {&DataPathCounters::tls_overflows, &EngineCounters::tls_overflows},
    {&DataPathCounters::tls_cut_off, &EngineCounters::tls_cut_off},
    {&DataPathCounters::backend_tls_handshakes, &EngineCounters::backend_tls_handshakes},
    {&DataPathCounters::backend_tls_resumed, &EngineCounters::backend_tls_resumed},
    {&DataPathCounters::backend_tls_failures, &EngineCounters::backend_tls_failures},
    {&DataPathCounters::backend_tls_unverified, &EngineCounters::backend_tls_unverified},
    {&DataPathCounters::backend_tls_timeouts, &EngineCounters::backend_tls_timeouts},
    {&DataPathCounters::backend_tls_cut_off, &EngineCounters::backend_tls_cut_off},
    {&DataPathCounters::untuned, &EngineCounters::untuned},
    {&DataPathCounters::instant_resets, &EngineCounters::instant_resets},
    {&DataPathCounters::replays, &EngineCounters::replays},
    {&DataPathCounters::keep_overflows, &EngineCounters::keep_overflows},
    {&DataPathCounters::hedges, &EngineCounters::hedges},
    {&DataPathCounters::hedges_won, &EngineCounters::hedges_won},
    {&DataPathCounters::waits, &EngineCounters::waits},
    {&DataPathCounters::wait_timeouts, &EngineCounters::wait_timeouts},
    {&DataPathCounters::wait_overflows, &EngineCounters::wait_overflows},
    {&DataPathCounters::clients_gone_while_waiting, &EngineCounters::wait_gone},
    {&DataPathCounters::no_port, &EngineCounters::no_port},
    {&DataPathCounters::no_descriptor, &EngineCounters::no_descriptor},
    {&DataPathCounters::no_memory, &EngineCounters::no_memory},
    {&DataPathCounters::spare_source_dials, &EngineCounters::spare_source_dials},
    {&DataPathCounters::pipes, &EngineCounters::pipes},
    {&DataPathCounters::memory_trims, &EngineCounters::memory_trims},
    {&DataPathCounters::late_resets, &EngineCounters::late_resets},
    {&DataPathCounters::unwatched, &EngineCounters::unwatched},
};

struct UdpSum {
  uint64_t DataPathCounters::*to;
  std::atomic<uint64_t> UdpCounters::*from;
};

constexpr UdpSum kUdpSums[] = {
    {&DataPathCounters::udp_closed, &UdpCounters::sessions_closed},
    {&DataPathCounters::udp_opened, &UdpCounters::sessions_opened},
    {&DataPathCounters::udp_datagrams_in, &UdpCounters::datagrams_in},
    {&DataPathCounters::udp_datagrams_out, &UdpCounters::datagrams_out},
    {&DataPathCounters::bytes_in, &UdpCounters::bytes_in},
    {&DataPathCounters::bytes_out, &UdpCounters::bytes_out},
    {&DataPathCounters::ejections, &UdpCounters::ejections},
    {&DataPathCounters::drain_resets, &UdpCounters::drain_ends},
    {&DataPathCounters::untuned, &UdpCounters::untuned},
    {&DataPathCounters::unwatched, &UdpCounters::unwatched},
    {&DataPathCounters::no_memory, &UdpCounters::no_memory},
    {&DataPathCounters::udp_moved, &UdpCounters::moved},
    {&DataPathCounters::udp_refused, &UdpCounters::refused},
    {&DataPathCounters::udp_idle_timeouts, &UdpCounters::idle_timeouts},
    {&DataPathCounters::udp_evicted, &UdpCounters::evicted},
    {&DataPathCounters::udp_no_backend, &UdpCounters::no_backend},
    {&DataPathCounters::udp_source_refused, &UdpCounters::source_refused},
    {&DataPathCounters::udp_session_limit, &UdpCounters::session_limit},
    {&DataPathCounters::udp_limit_refused, &UdpCounters::limit_refused},
    {&DataPathCounters::killed, &UdpCounters::killed},
    {&DataPathCounters::udp_queue_overflows, &UdpCounters::queue_overflows},
    {&DataPathCounters::udp_own_wants, &UdpCounters::own_wants},
    {&DataPathCounters::udp_too_large, &UdpCounters::too_large},
    // The rest of what was dropped, whatever the cause.
    {&DataPathCounters::udp_dropped, &UdpCounters::closing},
    {&DataPathCounters::udp_dropped, &UdpCounters::truncated},
    {&DataPathCounters::udp_dropped, &UdpCounters::send_full},
    {&DataPathCounters::udp_dropped, &UdpCounters::unreachable},
    {&DataPathCounters::udp_dropped, &UdpCounters::send_failed},
    {&DataPathCounters::udp_dropped, &UdpCounters::refused_twice},
    {&DataPathCounters::udp_dropped, &UdpCounters::lost_refused},
};

const char* name_of(Health health) {
  if (health == Health::kUnknown) return "unknown";
  return health == Health::kUp ? "up" : "down";
}

}  // namespace

DataPathCounters WorkerPool::counters() const {
  DataPathCounters out;
  for (const auto& sum : kSums) {
    for (const auto& worker : workers_) {
      out.*sum.to += (worker->counters().*sum.from).load(std::memory_order_relaxed);
    }
  }
  for (const auto& sum : kUdpSums) {
    for (const auto& worker : workers_) {
      out.*sum.to += (worker->udp_counters().*sum.from).load(std::memory_order_relaxed);
    }
  }
  out.active = out.accepted - out.closed;
  out.udp_active = out.udp_opened - out.udp_closed;
  out.readmissions = readmissions_;
  out.passed_on = passed_on_;
  out.no_memory += memory_wants_;
  out.spare_sources_avoided = spare_sources_->avoided();
  const SourceTotals& sources = planner_.source_totals();
  out.source_limits_full = sources.limits_full;
  out.source_limits_evicted = sources.limits_evicted;
  out.source_limits_evicted_early = sources.limits_evicted_early;
  out.affinity_evicted = sources.affinity_evicted;
  if (!chores_) return out;
  out.no_memory += chores_->memory_wants();
  out.readmissions_put_off = chores_->readmissions_put_off();
  return out;
}

std::vector<ServiceStatus> WorkerPool::status() const {
  std::vector<ServiceStatus> out;
  if (!state_) return out;
  for (const auto& service : state_->services) out.push_back(service_status(service));
  return out;
}

// A service may be in several pieces.
std::vector<ServiceStatus> WorkerPool::status_of(const std::set<std::string>& keys) const {
  std::vector<ServiceStatus> out;
  if (!state_) return out;
  const ServiceList& all = state_->services;
  for (const auto& key : keys) {
    auto each = std::lower_bound(all.begin(), all.end(), key,
                                 [](const Service& s, const std::string& k) { return s.key < k; });
    for (; each != all.end() && each->key == key; ++each) out.push_back(service_status(*each));
  }
  return out;
}

ServiceStatus WorkerPool::service_status(const Service& service) const {
  ServiceStatus out{service.key, {}};
  for (const auto& address : service.addresses) {
    for (const auto& port : service.ports) {
      const ListenerId id{{address, port.port}, port.protocol, port.match};
      out.ports.push_back(port_status(service.key, id));
    }
  }
  return out;
}

PortStatus WorkerPool::port_status(const std::string& key, const ListenerId& id) const {
  PortStatus out{id.at.address, id.at.port, id.protocol, false, "", 0, {}, false, id.match};
  const auto held = serving_.find(id);
  out.programmed = held != serving_.end() && held->second.planned.key == key;
  if (!out.programmed) {
    out.reason = failed_.reason_of(key, id);
    return out;
  }
  if (lacking_.contains(id)) {
    out.programmed = false;
    out.reason = kOutOfMemory;
  }
  const ListenerConfig& config = *held->second.planned.config;
  out.connections = config.counts->connections;
  out.panic = in_panic(config);
  for (const auto& backend : config.records) {
    const Ejection ejection = backend->ejected;
    const bool out_of_use = ejection != Ejection::kNone;
    out.backends.push_back({backend->endpoint, out_of_use, name_of(backend->health),
                            backend->drained ? "Drained"
                            : out_of_use     ? reason(ejection)
                                             : backend->health_reason,
                            backend->connections});
  }
  return out;
}

std::set<IpAddress> WorkerPool::addresses_in_use() const {
  std::set<IpAddress> out;
  for (const auto& [id, served] : serving_) out.insert(id.at.address);
  for (const auto& [id, counts] : closing_) {
    if (counts->busy()) out.insert(id.at.address);
  }
  return out;
}

std::set<ListenerId> WorkerPool::listening() const {
  std::set<ListenerId> out;
  for (const auto& [id, door] : doors_) out.insert(id);
  return out;
}

namespace {

template <size_t kBounds>
void sum_up(HistogramTotals<kBounds>& to, const Histogram<kBounds>& from) {
  for (size_t i = 0; i <= kBounds; ++i) to.counts[i] += from.counts[i];
  to.sum_ms += from.sum_ms;
}

// Returns how much came to it.
template <size_t kCount>
uint64_t sum_up(std::array<uint64_t, kCount>& to,
                const std::array<std::atomic<uint64_t>, kCount>& from) {
  uint64_t sum = 0;
  for (size_t i = 0; i < kCount; ++i) {
    const uint64_t each = from[i];
    to[i] += each;
    sum += each;
  }
  return sum;
}

void sum_up(PortTotals& to, const ListenerCounts& from) {
  to.active += from.connections;
  for (const auto& worker : from.stats) {
    to.closed += sum_up(to.ended, worker->ended);
    sum_up(to.refused, worker->refused);
    to.accepted += worker->accepted;
    to.bytes_in += worker->bytes_in;
    to.bytes_out += worker->bytes_out;
    to.retries += worker->retries;
    to.no_backend += worker->no_backend;
    to.replays += worker->replays;
    to.keep_overflows += worker->keep_overflows;
    to.hedges += worker->hedges;
    to.hedges_won += worker->hedges_won;
    to.drain_resets += worker->drain_resets;
    // Those over first: read the other way round, the difference could be below zero.
    const uint64_t over = worker->waits_over;
    const uint64_t waits = worker->waits;
    to.waiting += waits - over;
    to.waits += waits;
    to.wait_timeouts += worker->wait_timeouts;
    to.wait_overflows += worker->wait_overflows;
    to.clients_gone_while_waiting += worker->wait_gone;
    sum_up(to.connect, worker->connect);
    sum_up(to.life, worker->life);
  }
}

// May be given new connections without want of a better one. Whom an operator drains has no weight.
bool is_usable(const ListenerConfig& config, size_t backend) {
  const auto& candidate = config.candidates[backend];
  return candidate.weight > 0 && candidate.state == BackendState::kReady &&
         !config.records[backend]->unfit();
}

// One word, as probe_result.hpp has it: what follows a colon is for people.
std::string why_down(const BackendRecord& backend) {
  if (backend.out()) return reason(backend.ejected);
  if (backend.health.load(std::memory_order_relaxed) != Health::kDown) return {};
  return backend.health_reason.substr(0, backend.health_reason.find(':'));
}

BackendTotals totals_of(const ListenerConfig& config, size_t backend) {
  const BackendRecord& record = *config.records[backend];
  BackendTotals out;
  out.backend = record.endpoint;
  out.active = record.connections;
  out.turned_up = record.turned_up;
  out.turned_down = record.turned_down;
  out.up = is_usable(config, backend);
  out.why_down = why_down(record);
  for (const auto& worker : record.stats) {
    out.connections += worker.connections;
    out.bytes_in += worker.bytes_in;
    out.bytes_out += worker.bytes_out;
    out.refused += worker.refused;
    out.timeouts += worker.timeouts;
    out.errors += worker.errors;
    out.ejections += worker.ejections;
    out.instant_resets += worker.instant_resets;
    out.tls += worker.tls;
  }
  return out;
}

uint64_t usable_in(const ListenerConfig& config, size_t group) {
  uint64_t out = 0;
  for (size_t i = 0; i < config.records.size(); ++i) {
    out += config.candidates[i].group == group && is_usable(config, i);
  }
  return out;
}

// Of one more listener of a port: another address's groups and backends are the same, another
// match's may be others.
void sum_up(std::vector<GroupTotals>& to, const ListenerConfig& from) {
  const ListenerGroups& groups = from.groups;
  for (size_t i = 0; i < groups.shares.size(); ++i) {
    const std::string& name = groups.records[i]->name;
    const auto known =
        std::find_if(to.begin(), to.end(), [&](const auto& each) { return each.name == name; });
    GroupTotals& group = known != to.end() ? *known : to.emplace_back(GroupTotals{name});
    group.weight = groups.shares[i].weight;
    group.usable = std::max(group.usable, usable_in(from, i));
    group.connections += groups.records[i]->connections;
  }
}

// Those that another listener of the port has too are there already.
void add_backends(std::vector<BackendTotals>& to, const ListenerConfig& from) {
  std::set<Endpoint> known;
  for (const auto& each : to) known.insert(each.backend);
  for (size_t i = 0; i < from.records.size(); ++i) {
    if (known.contains(from.records[i]->endpoint)) continue;
    to.push_back(totals_of(from, i));
  }
}

}  // namespace

std::vector<PortTotals> WorkerPool::totals() const {
  std::map<std::tuple<std::string, uint16_t, Protocol>, PortTotals> out;
  for (const auto& [id, served] : serving_) {
    const ListenerConfig& config = *served.planned.config;
    auto& port = out[{served.planned.key, id.at.port, id.protocol}];
    port.key = served.planned.key;
    port.port = id.at.port;
    port.protocol = id.protocol;
    sum_up(port, *config.counts);
    sum_up(port.groups, config);
    if (in_panic(config)) port.panic = 1;
    port.drains = std::max(port.drains, config.counts->drains);
    add_backends(port.backends, config);
  }
  std::vector<PortTotals> list;
  for (auto& [id, port] : out) list.push_back(std::move(port));
  return list;
}

}  // namespace lb::proxy
