#include "dataplane/proxy/affinity.hpp"

namespace lb::proxy {

int remembered_backend(const ListenerConfig& config, const IpAddress& client, uint64_t now_ms) {
  if (!config.affinity) return -1;
  const auto backend = config.affinity->find(client, now_ms);
  if (!backend) return -1;
  for (size_t i = 0; i < config.records.size(); ++i) {
    if (config.records[i]->endpoint != *backend) continue;
    const auto& candidate = config.candidates[i];
    const bool usable = candidate.weight > 0 && candidate.state == BackendState::kReady &&
                        !config.records[i]->unfit();
    return usable ? static_cast<int>(i) : -1;
  }
  return -1;
}

void remember_backend(const ListenerConfig& config, const IpAddress& client,
                      const Endpoint& backend, uint64_t now_ms) {
  if (!config.affinity) return;
  config.affinity->remember(client, backend, now_ms,
                            uint64_t{config.policy.affinity_seconds} * 1000);
}

}  // namespace lb::proxy
