#include "dataplane/proxy/affinity.hpp"

#include <optional>

namespace lb::proxy {
namespace {

// A group that gets nobody any more is no longer asked, nor one that is not meant for that client.
bool of_its_group(const ListenerConfig& config, size_t index, const IpAddress& client) {
  if (config.groups.empty()) return true;
  const uint16_t group = config.candidates[index].group;
  const auto meant = config.groups.meant_for(client);
  return meant ? *meant == group : config.groups.shares[group].weight > 0;
}

}  // namespace

int remembered_backend(const ListenerConfig& config, const IpAddress& client, uint64_t now_ms) {
  if (!config.affinity) return -1;
  const auto backend = config.affinity->find(client, now_ms);
  if (!backend) return -1;
  for (size_t i = 0; i < config.records.size(); ++i) {
    if (config.records[i]->endpoint != *backend) continue;
    const auto& candidate = config.candidates[i];
    const bool usable = candidate.weight > 0 && candidate.state == BackendState::kReady &&
                        !config.records[i]->unfit() && of_its_group(config, i, client);
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
