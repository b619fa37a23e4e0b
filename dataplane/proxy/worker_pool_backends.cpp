#include "dataplane/proxy/worker_pool.hpp"

namespace lb::proxy {

void WorkerPool::move_dials(const std::shared_ptr<BackendRecord>& backend) {
  for (const auto& worker : workers_) {
    worker->post([backend](RelayEngine& engine) { engine.move_dials(backend); });
  }
}

void WorkerPool::dial_waiting() {
  for (const auto& worker : workers_) {
    worker->post([](RelayEngine& engine) { engine.backends_changed(); });
  }
}

void WorkerPool::set_health(const BackendId& id, Health health, std::string reason) {
  const auto backend = planner_.find(id);
  if (!backend) return;
  backend->health_reason = std::move(reason);
  const Health before = backend->health.exchange(health, std::memory_order_relaxed);
  if (health == Health::kDown && before != health && id.protocol == Protocol::kTcp) {
    move_dials(backend);
  }
  if (before == Health::kDown && health != before) dial_waiting();
}

}  // namespace lb::proxy
