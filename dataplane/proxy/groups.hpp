// Groups of a listener's backends as workers see them, and what is counted for each.
//
// Part of ListenerConfig, immutable but for the counter. Which group a client is meant for is
// decided here, which backend it gets by balance/grouped.hpp.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/model/state.hpp"
#include "dataplane/balance/picker.hpp"

namespace lb::proxy {

// Outlives configurations, as long as its listener has a group of that name.
struct GroupRecord {
  explicit GroupRecord(std::string its) : name(std::move(its)) {}
  const std::string name;
  std::atomic<uint64_t> connections{0};  // made, of all workers
};

struct ListenerGroups {
  std::vector<balance::GroupShare> shares;
  std::vector<std::vector<Cidr>> sources;             // one list per share, as is the next one
  std::vector<std::shared_ptr<GroupRecord>> records;  // sorted by name, as are all three

  bool empty() const { return shares.empty(); }
  bool by_source() const {
    return std::any_of(sources.begin(), sources.end(),
                       [](const auto& each) { return !each.empty(); });
  }
  // Only for whom it is meant for.
  bool reserved(uint16_t group) const { return !empty() && shares[group].weight == 0; }
  // The first group with a range in which that client is.
  std::optional<uint16_t> meant_for(const IpAddress& client) const {
    for (size_t i = 0; i < sources.size(); ++i) {
      const auto holds = [&](const Cidr& range) { return range.contains(client); };
      if (std::any_of(sources[i].begin(), sources[i].end(), holds)) return uint16_t(i);
    }
    return std::nullopt;
  }
};

}  // namespace lb::proxy
