#include "dataplane/proxy/panic.hpp"

#include "dataplane/balance/selection.hpp"

namespace lb::proxy {

bool in_panic(const ListenerConfig& config) {
  if (config.options.panic_percent == 0) return false;
  std::vector<balance::Candidate> now = config.candidates;
  for (size_t i = 0; i < now.size(); ++i) {
    now[i].health = config.records[i]->health.load(std::memory_order_relaxed);
  }
  return balance::in_panic(now, BackendState::kReady, config.options.panic_percent);
}

}  // namespace lb::proxy
