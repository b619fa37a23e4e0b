// What AddressPools and labels of namespaces change in the world of the reconciler.
#include "common/ops/log.hpp"
#include "controller/reconciler.hpp"

namespace lb::controller {

// The flags' pool is there first: an AddressPool of its name would be another pool of that name.
std::vector<plan::Pool> Reconciler::all_pools() const {
  std::vector<plan::Pool> out;
  if (!options_.pools.empty()) {
    out.push_back(plan::flags_pool(options_.pools));
    out.back().reuse_quarantine_s = static_cast<uint32_t>(options_.quarantine.count());
  }
  if (!cluster_pools_) return out;
  for (const auto& pool : *cluster_pools_) {
    if (pool.name != plan::kFlagsPool) out.push_back(pool);
  }
  return out;
}

void Reconciler::pools(std::vector<plan::Pool> all) {
  const bool first = !cluster_pools_;
  cluster_pools_ = std::move(all);
  allocator_.set_pools(all_pools());
  if (first) {
    ops::log(ops::Level::kInfo, "AddressPools synced", {{"pools", cluster_pools_->size()}});
    touch_all();
  }
  schedule();
}

void Reconciler::namespaces(std::map<std::string, plan::Labels> labels) {
  std::swap(world_.namespaces, labels);
  const auto of = [](const auto& all, const std::string& ns) {
    const auto found = all.find(ns);
    return found == all.end() ? plan::Labels{} : found->second;
  };
  for (const auto& [key, service] : world_.services) {
    if (!service.kube) continue;
    if (of(labels, service.kube->ns) != of(world_.namespaces, service.kube->ns)) touch(key);
  }
}

std::map<std::string, plan::PoolStatus> Reconciler::pool_statuses() const {
  if (!may_plan() || !ready() || !cluster_pools_) return {};
  return plan::pool_statuses(allocator_);
}

std::chrono::seconds Reconciler::quarantine_of(const IpAddress& address) const {
  const plan::Pool* pool = allocator_.pools().owner(address);
  return pool == nullptr ? options_.quarantine : std::chrono::seconds(pool->reuse_quarantine_s);
}

}  // namespace lb::controller
