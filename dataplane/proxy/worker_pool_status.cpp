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
    {&DataPathCounters::pipe_fallbacks, &EngineCounters::pipe_fallbacks},
    {&DataPathCounters::client_gone_while_dialling, &EngineCounters::client_gone},
};

const char* reason(Ejection ejection) {
  if (ejection == Ejection::kNone) return "";
  return ejection == Ejection::kRefused ? "Refused" : "Timeout";
}

}  // namespace

DataPathCounters WorkerPool::counters() const {
  DataPathCounters out;
  for (const auto& sum : kSums) {
    for (const auto& worker : workers_) {
      out.*sum.to += (worker->counters().*sum.from).load(std::memory_order_relaxed);
    }
  }
  out.active = out.accepted - out.closed;
  out.readmissions = readmissions_;
  out.passed_on = passed_on_;
  return out;
}

std::vector<ServiceStatus> WorkerPool::status() const {
  std::vector<ServiceStatus> out;
  if (!state_) return out;
  for (const auto& service : state_->services) {
    ServiceStatus each{service.key, {}};
    for (const auto& address : service.addresses) {
      for (const auto& port : service.ports) {
        each.ports.push_back(port_status(service.key, {{address, port.port}, port.protocol}));
      }
    }
    out.push_back(std::move(each));
  }
  return out;
}

PortStatus WorkerPool::port_status(const std::string& key, const ListenerId& id) const {
  PortStatus out{id.at.address, id.at.port, id.protocol, false, "", 0, {}};
  const auto held = serving_.find(id);
  out.programmed = held != serving_.end() && held->second.planned.key == key;
  if (!out.programmed) {
    for (const auto& failed : failed_) {
      const ListenerId where{{failed.address, failed.port}, failed.protocol};
      if (failed.key == key && where == id) out.reason = failed.reason;
    }
    return out;
  }
  const ListenerConfig& config = *held->second.planned.config;
  out.connections = config.counts->connections;
  for (const auto& backend : config.records) {
    const Ejection ejection = backend->ejected;
    out.backends.push_back(
        {backend->endpoint, ejection != Ejection::kNone, reason(ejection), backend->connections});
  }
  return out;
}

std::set<IpAddress> WorkerPool::addresses_in_use() const {
  std::set<IpAddress> out;
  for (const auto& [id, served] : serving_) out.insert(id.at.address);
  for (const auto& [address, counts] : closing_) {
    if (counts->connections > 0) out.insert(address);
  }
  return out;
}

std::set<ListenerId> WorkerPool::listening() const {
  std::set<ListenerId> out;
  for (const auto& [id, served] : serving_) out.insert(id);
  return out;
}

}  // namespace lb::proxy
