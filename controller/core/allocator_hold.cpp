// Addresses that must stay where they are, because a data plane serves them or may do so.
#include <algorithm>

#include "controller/core/allocator.hpp"

namespace lb::plan {
namespace {

bool contains(const std::vector<IpAddress>& list, const IpAddress& address) {
  return std::find(list.begin(), list.end(), address) != list.end();
}

std::optional<IpAddress> of_family(const std::vector<IpAddress>& list, Family family) {
  for (const auto& address : list) {
    if (address.family() == family) return address;
  }
  return std::nullopt;
}

}  // namespace

// nullopt: there is no such pool.
std::optional<bool> Allocator::named_has(const std::string& name, const IpAddress& address) const {
  for (const Pool& pool : pools_.all()) {
    if (pool.name == name && !pool.deleting) return pool.contains(address);
  }
  return std::nullopt;
}

bool Allocator::misses(const std::string& named, const IpAddress& address) const {
  return !named.empty() && named_has(named, address) == false;
}

// Whoever asks for another address gives it up, and so does whoever names another pool than when it
// got it. A pool that lost the address to another one by an edit moves nobody.
bool Allocator::moves_away(const Holder& holder, const IpAddress& address) const {
  const auto requested = of_family(holder.claim.requested, address.family());
  if (requested) return *requested != address;
  if (!in_pool(address) || !misses(holder.claim.who.pool, address)) return false;
  return holder.named && *holder.named != holder.claim.who.pool;
}

// The name under which it holds what it holds, or still has in its status or at a data plane. One
// that is there before us and before its pool had the address is not moved: whether its owner has
// changed the name meanwhile is not known.
void Allocator::note_pool(Holder& holder) const {
  const std::string& now = holder.claim.who.pool;
  const auto at_home = [&](const IpAddress& address) {
    return now.empty() || named_has(now, address).value_or(false);
  };
  const auto all_at_home = [&](const std::vector<IpAddress>& list) {
    return std::all_of(list.begin(), list.end(), at_home);
  };
  const bool held_at_home = std::all_of(holder.picked.begin(), holder.picked.end(),
                                        [&](const auto& each) { return at_home(each.second); }) &&
                            all_at_home(holder.claim.assigned) && all_at_home(holder.claim.served);
  if (held_at_home || (!holder.named && !holder.picked.empty())) holder.named = now;
}

// What of it is kept although the pools are no longer so.
std::optional<Problem> Allocator::outside(const Holder& holder) const {
  for (const auto& [family, address] : holder.picked) {
    const Pool* pool = pools_.owner(address);
    const bool gone = pool == nullptr || pool->deleting;
    if (!gone && !misses(holder.claim.who.pool, address)) continue;
    return Problem{"AddressOutsidePools",
                   address.to_string() + " is kept, but " +
                       (gone ? "no pool has" : "pool " + holder.claim.who.pool + " has not got") +
                       " it any more"};
  }
  return std::nullopt;
}

void Allocator::hold_back(bool hold) {
  if (std::exchange(holding_back_, hold) == hold || hold) return;
  for (const auto& [key, holder] : holders_) changed_.insert(key);
}

void Allocator::keep_resting(bool keep) {
  if (std::exchange(keep_resting_, keep) == keep || keep) return;
  wake_waiting();
}

bool Allocator::held_by_other(const std::string& key, const IpAddress& address) const {
  const auto owners = owners_.find(address);
  if (owners == owners_.end()) return false;
  return std::any_of(owners->second.begin(), owners->second.end(),
                     [&](const auto& owner) { return owner != key; });
}

// Another is spoken for by a status that is known already.
bool Allocator::spoken_for(const IpAddress& address) const {
  if (owners_.contains(address)) return true;
  const auto claiming = claimants_.find(address);
  return claiming != claimants_.end() &&
         std::any_of(claiming->second.begin(), claiming->second.end(), [&](const auto& key) {
           return contains(holders_.at(key).claim.assigned, address);
         });
}

void Allocator::reserve(const std::string& key, const std::vector<IpAddress>& addresses) {
  if (holders_.contains(key)) return;
  Claim wanted;
  std::vector<IpAddress> own;
  for (const auto& address : addresses) {
    if (!in_pool(address) || of_family(wanted.served, address.family())) continue;
    wanted.served.push_back(address);
    if (!spoken_for(address)) own.push_back(address);
  }
  if (wanted.served.empty()) return;
  wanted.assigned = own;
  claim(key, std::move(wanted));
  for (const auto& address : own) {
    owners_[address].insert(key);
    holders_.at(key).picked.emplace(address.family(), address);
    quarantine_.erase(address);
  }
}

std::optional<Problem> Allocator::stay(const std::string& key, Holder& holder, Family family) {
  const auto picked = holder.picked.find(family);
  auto has = picked == holder.picked.end() ? std::nullopt : std::optional(picked->second);
  if (!has) has = of_family(holder.claim.assigned, family);
  if (!has) has = of_family(holder.claim.served, family);
  if (has) return take(key, holder, *has);
  return Problem{"DataPlaneNotHeard", "a data plane was not heard yet: it may serve any address"};
}

}  // namespace lb::plan
