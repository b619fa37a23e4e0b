#include "dataplane/proxy/heirs.hpp"

#include <utility>

namespace lb::proxy {

const ListenerId* Heirs::of(const ListenerId& id, const ListenerConfig& config) {
  const ByCounts& heirs = at(id.door());
  const auto found = heirs.find(config.counts.get());
  return found == heirs.end() ? nullptr : found->second;
}

const Heirs::ByCounts& Heirs::at(const ListenerId& door) {
  const auto known = doors_.find(door);
  if (known != doors_.end()) return known->second;
  ByCounts heirs;
  for (auto each = planned_.lower_bound(door); each != planned_.end() && each->first.door() == door;
       ++each) {
    ++looked_at_;
    heirs.emplace(each->second.config->counts.get(), &each->first);
  }
  return doors_.emplace(door, std::move(heirs)).first->second;
}

}  // namespace lb::proxy
