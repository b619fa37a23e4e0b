#include "controller/core/pool_status.hpp"

#include <algorithm>

#include "common/model/json.hpp"

namespace lb::plan {
namespace {

using Json = nlohmann::ordered_json;

uint64_t size_of(const AddressRange& range) {
  const auto& first = range.first.bytes();
  const auto& last = range.last.bytes();
  const size_t bytes = range.first.is_v4() ? 4 : 16;
  // Byte by byte, the most significant first. Once it is that far above the limit, what follows
  // cannot take it below.
  int64_t distance = 0;
  for (size_t i = 0; i < bytes; ++i) {
    if (distance > static_cast<int64_t>(kMaxCapacity >> 8) + 1) return kMaxCapacity;
    distance = distance * 256 + (last[i] - first[i]);
  }
  return std::min(static_cast<uint64_t>(distance) + 1, kMaxCapacity);
}

void add(PoolStatus& status, std::string reason, std::string message) {
  if (status.conflicts.size() == kMaxPoolConflicts) return;
  status.conflicts.push_back({std::move(reason), std::move(message)});
}

}  // namespace

uint64_t capacity_of(const std::vector<AddressRange>& ranges) {
  auto sorted = ranges;
  std::sort(sorted.begin(), sorted.end());
  uint64_t out = 0;
  std::optional<IpAddress> counted;  // the highest so far
  for (auto range : sorted) {
    if (counted && counted->family() == range.first.family()) {
      if (range.last <= *counted) continue;
      if (range.first <= *counted) range.first = *counted->next();
    }
    out = std::min(out + size_of(range), kMaxCapacity);
    counted = range.last;
  }
  return out;
}

std::map<std::string, PoolStatus> pool_statuses(const Allocator& allocator) {
  std::map<std::string, PoolStatus> out;
  const PoolSet& pools = allocator.pools();
  const auto usage = allocator.usage_by_pool();
  for (const Pool& pool : pools.all()) {
    if (pool.name == kFlagsPool) continue;
    const auto& used = usage.at(pool.name);
    PoolStatus& status = out[pool.name];
    status = {pool.creation_time, capacity_of(pool.ranges), used.assigned, used.quarantined, {}};
    if (!pool.fault.empty()) add(status, "InvalidObject", pool.fault);
    for (const auto& older : pools.overlapped(pool)) {
      add(status, "PoolOverlap", "addresses that pool " + older + " has too are that pool's");
    }
  }
  const auto tell = [&](const std::set<IpAddress>& addresses, const char* reason,
                        const char* message) {
    for (const auto& address : addresses) {
      const Pool* pool = pools.owner(address);
      const auto found = pool == nullptr ? out.end() : out.find(pool->name);
      if (found != out.end()) add(found->second, reason, address.to_string() + message);
    }
  };
  tell(allocator.conflicts(), "AddressInUseOnNetwork", " is used by another host on the network");
  tell(allocator.blocked(), "AddressOfNode", " is the address of a node");
  return out;
}

std::string encode_pool_status(const PoolStatus& status) {
  Json conflicts = Json::array();
  for (const auto& each : status.conflicts) {
    conflicts.push_back({{"reason", each.reason}, {"message", each.message}});
  }
  const Json body{{"capacity", status.capacity},
                  {"assigned", status.assigned},
                  {"quarantined", status.quarantined},
                  {"conflicts", std::move(conflicts)}};
  return Json{{"status", body}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace lb::plan
