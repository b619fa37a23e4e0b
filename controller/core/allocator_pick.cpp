// Addresses that nobody asked for by number: where the allocator takes them, and what it counts.
#include <algorithm>

#include "controller/core/allocator.hpp"

namespace lb::plan {
namespace {

const char* name(Family family) { return family == Family::kV4 ? "IPv4" : "IPv6"; }

bool contains(const std::vector<const Pool*>& pools, const Pool* pool) {
  return std::find(pools.begin(), pools.end(), pool) != pools.end();
}

}  // namespace

bool Allocator::free(const IpAddress& address) const {
  return !owners_.contains(address) && !quarantine_.contains(address) &&
         !claimants_.contains(address) && usable(address);
}

std::optional<Problem> Allocator::pick(const std::string& key, Holder& holder, Family family) {
  const Applicant& who = holder.claim.who;
  const std::string which = who.pool.empty() ? "any pool" : "pool " + who.pool;
  const auto pools = pools_.automatic(who, family);
  if (pools.empty()) {
    const std::string none = who.pool.empty() ? "no pool" : "no pool " + who.pool;
    return Problem{"NoPool", none + " has " + name(family) + " addresses for this Service"};
  }
  auto address = shared(key, holder, family, pools);
  for (size_t i = 0; i < pools.size() && !address; ++i) {
    address =
        pools_.next_free(*pools[i], family, [this](const IpAddress& each) { return free(each); });
  }
  const auto resting = address ? std::nullopt : oldest_quarantined(family, pools);
  if (!address && !keep_resting_) address = resting;
  if (address) return take(key, holder, *address);
  if (resting) {
    return Problem{"DataPlaneLost", "of " + which +
                                        " only addresses that rest are left, and a data " +
                                        "plane that is lost may serve them still"};
  }
  return Problem{"PoolExhausted",
                 std::string("no ") + name(family) + " address is free in " + which};
}

// The lowest address of those with the same key on which there is room for this one's ports.
std::optional<IpAddress> Allocator::shared(const std::string& key, const Holder& holder,
                                           Family family,
                                           const std::vector<const Pool*>& pools) const {
  const auto group = groups_.find({holder.claim.who.ns, holder.claim.share_key});
  if (holder.claim.share_key.empty() || group == groups_.end()) return std::nullopt;
  std::set<IpAddress> candidates;
  for (const auto& other : group->second) {
    for (const auto& address : held(other)) {
      const bool fits = address.family() == family && contains(pools, pools_.owner(address));
      if (fits && usable(address)) candidates.insert(address);
    }
  }
  for (const auto& address : candidates) {
    const auto others = interested(address);
    const bool room = std::all_of(others.begin(), others.end(), [&](const auto& other) {
      return other == key || can_share(holder.claim, holders_.at(other).claim);
    });
    if (room) return address;
  }
  return std::nullopt;
}

std::optional<IpAddress> Allocator::oldest_quarantined(
    Family family, const std::vector<const Pool*>& pools) const {
  std::optional<IpAddress> oldest;
  for (const auto& [address, order] : quarantine_) {
    if (address.family() != family || !usable(address) || claimants_.contains(address)) continue;
    if (!contains(pools, pools_.owner(address))) continue;
    if (!oldest || order < quarantine_.at(*oldest)) oldest = address;
  }
  return oldest;
}

std::set<IpAddress> Allocator::quarantined() const {
  std::set<IpAddress> out;
  for (const auto& [address, order] : quarantine_) out.insert(address);
  return out;
}

Allocator::Usage Allocator::usage() const {
  return {owners_.size(), quarantine_.size(), conflicts_.size(), waiting_.size()};
}

std::map<std::string, Allocator::Usage> Allocator::usage_by_pool() const {
  std::map<std::string, Usage> out;
  for (const Pool& pool : pools_.all()) out[pool.name];
  const auto of = [&](const IpAddress& address) -> Usage& {
    const Pool* pool = pools_.owner(address);
    return out[pool == nullptr ? "" : pool->name];
  };
  for (const auto& [address, keys] : owners_) ++of(address).assigned;
  for (const auto& [address, order] : quarantine_) ++of(address).quarantined;
  for (const auto& address : conflicts_) ++of(address).conflicts;
  return out;
}

}  // namespace lb::plan
