// Which planned listener goes on with the connections, limits and counts of a former one: the
// planner lets a service that changes its match at a door keep them.
//
// Control thread; for one change of the plan, which has to outlast it. Each door is gone through
// once, however many of its listeners are asked for: they may be thousands. May throw
// std::bad_alloc.
#pragma once

#include <cstddef>
#include <map>
#include <unordered_map>

#include "dataplane/proxy/listener_planner.hpp"

namespace lb::proxy {

class Heirs {
 public:
  explicit Heirs(const PlannedListeners& planned) : planned_(planned) {}

  // At the door of `id`, whoever counts as `config` does. Null: it ends.
  const ListenerId* of(const ListenerId& id, const ListenerConfig& config);

  // How many planned listeners were gone through: what all this costs.
  size_t looked_at() const { return looked_at_; }

 private:
  using ByCounts = std::unordered_map<const ListenerCounts*, const ListenerId*>;

  const ByCounts& at(const ListenerId& door);

  const PlannedListeners& planned_;
  std::map<ListenerId, ByCounts> doors_;
  size_t looked_at_ = 0;
};

}  // namespace lb::proxy
