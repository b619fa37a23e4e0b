#include "dataplane/proxy/spare_sources.hpp"

#include <algorithm>

namespace lb::proxy {

void SpareSources::avoid(const std::set<IpAddress>& ours,
                         const std::function<void(const IpAddress&, bool avoided)>& changed) {
  for (auto& each : all_) {
    const bool avoided = ours.contains(each.address);
    if (each.avoided.exchange(avoided, std::memory_order_relaxed) == avoided) continue;
    if (changed) changed(each.address, avoided);
  }
}

size_t SpareSources::avoided() const {
  return static_cast<size_t>(std::count_if(all_.begin(), all_.end(), [](const Each& each) {
    return each.avoided.load(std::memory_order_relaxed);
  }));
}

}  // namespace lb::proxy
