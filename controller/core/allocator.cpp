#include "controller/core/allocator.hpp"

#include <algorithm>
#include <tuple>

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

std::vector<Pool> one_pool(std::vector<AddressRange> ranges) {
  if (ranges.empty()) return {};
  return {flags_pool(std::move(ranges))};
}

bool disjoint(const PortSet& a, const PortSet& b) {
  return std::none_of(a.begin(), a.end(), [&](const auto& port) { return b.contains(port); });
}

// Whether the two get on with the same others.
bool same_sharing(const Claim& a, const Claim& b) {
  if (a.share_key.empty() && b.share_key.empty()) return true;
  return a.share_key == b.share_key && a.who.ns == b.who.ns && a.ports == b.ports;
}

}  // namespace

Allocator::Allocator(std::vector<AddressRange> ranges) : pools_(one_pool(std::move(ranges))) {}

void Allocator::set_pools(std::vector<Pool> pools) {
  PoolSet now(std::move(pools));
  if (now.all() == pools_.all()) return;
  pools_ = std::move(now);
  for (const auto& [key, holder] : holders_) changed_.insert(key);
}

bool Allocator::trusts(const std::string& key, const IpAddress& address,
                       const std::vector<IpAddress>& served) const {
  if (in_pool(address) || contains(served, address)) return true;
  const auto owners = owners_.find(address);
  return owners != owners_.end() && owners->second.contains(key);
}

bool Allocator::usable(const IpAddress& address) const {
  return !conflicts_.contains(address) && !blocked_.contains(address);
}

// An edit of pools or selectors takes no address from whom clients know by it.
bool Allocator::keeps(const Holder& holder, const IpAddress& address) const {
  if (moves_away(holder, address)) return false;
  const auto picked = holder.picked.find(address.family());
  const bool held = picked != holder.picked.end() && picked->second == address;
  const bool assigned = contains(holder.claim.assigned, address);
  const bool served = contains(holder.claim.served, address);
  return in_pool(address) ? held || assigned || served : assigned && (held || served);
}

std::optional<Problem> Allocator::inadmissible(const Holder& holder,
                                               const IpAddress& address) const {
  if (keeps(holder, address)) return std::nullopt;
  const std::string text = address.to_string();
  const Pool* pool = pools_.owner(address);
  if (pool == nullptr) {
    return Problem{"AddressNotInPool", text + " is in no pool of this controller"};
  }
  if (pool->admits(holder.claim.who)) return std::nullopt;
  return Problem{"PoolNotAllowed",
                 text + " is of pool " + pool->name + ", which is not for this Service"};
}

Allocator::Rank Allocator::rank(const Holder& holder, const IpAddress& address) const {
  if (contains(holder.claim.assigned, address) && !moves_away(holder, address)) {
    return Rank::kAssigned;
  }
  if (contains(holder.claim.requested, address)) return Rank::kRequested;
  const auto picked = holder.picked.find(address.family());
  if (picked != holder.picked.end() && picked->second == address) return Rank::kPicked;
  return contains(holder.claim.served, address) ? Rank::kServed : Rank::kNone;
}

bool Allocator::before(const std::string& a, const std::string& b, const IpAddress& address) const {
  const Holder& x = holders_.at(a);
  const Holder& y = holders_.at(b);
  return std::tuple(rank(x, address), x.claim.creation_time, a) <
         std::tuple(rank(y, address), y.claim.creation_time, b);
}

bool Allocator::can_share(const Claim& a, const Claim& b) const {
  return !a.share_key.empty() && a.share_key == b.share_key && a.who.ns == b.who.ns &&
         disjoint(a.ports, b.ports);
}

// Whoever holds the address or claims it.
std::set<std::string> Allocator::interested(const IpAddress& address) const {
  std::set<std::string> out;
  if (const auto found = owners_.find(address); found != owners_.end()) out = found->second;
  const auto claiming = claimants_.find(address);
  if (claiming != claimants_.end()) out.insert(claiming->second.begin(), claiming->second.end());
  return out;
}

// Who may have the address once `key` wants it too: by rank, each that gets on with those before.
std::vector<std::string> Allocator::winners(const std::string& key,
                                            const IpAddress& address) const {
  auto all = interested(address);
  all.insert(key);
  std::vector<std::string> ranked;
  for (const auto& each : all) {
    const Holder& holder = holders_.at(each);
    const bool wants = each == key || rank(holder, address) != Rank::kNone;
    if (wants && !inadmissible(holder, address)) ranked.push_back(each);
  }
  std::sort(ranked.begin(), ranked.end(),
            [&](const auto& a, const auto& b) { return before(a, b, address); });
  std::vector<std::string> out;
  for (const auto& each : ranked) {
    const Claim& claim = holders_.at(each).claim;
    const bool fits = std::all_of(out.begin(), out.end(), [&](const auto& better) {
      return can_share(claim, holders_.at(better).claim);
    });
    if (fits) out.push_back(each);
  }
  return out;
}

void Allocator::index(const std::string& key, const Claim& claim, bool add) {
  if (!claim.share_key.empty()) {
    auto& group = groups_[{claim.who.ns, claim.share_key}];
    add ? static_cast<void>(group.insert(key)) : static_cast<void>(group.erase(key));
    if (group.empty()) groups_.erase({claim.who.ns, claim.share_key});
  }
  for (const auto* list : {&claim.assigned, &claim.requested, &claim.served}) {
    for (const auto& address : *list) {
      if (add) {
        claimants_[address].insert(key);
      } else if (auto found = claimants_.find(address); found != claimants_.end()) {
        found->second.erase(key);
        if (found->second.empty()) claimants_.erase(found);
        pools_.freed(address);
      }
    }
  }
}

// Whoever looks at an address of this claim may fare better or worse by it now.
void Allocator::wake_interested(const Claim& claim) {
  for (const auto* list : {&claim.assigned, &claim.requested, &claim.served}) {
    for (const auto& address : *list) {
      for (const auto& other : interested(address)) {
        changed_.insert(other);
        wake_sharers(holders_.at(other).claim);
      }
    }
  }
}

void Allocator::claim(const std::string& key, Claim claim) {
  Holder& holder = holders_[key];
  if (holder.claim == claim) return;
  const bool same_terms = same_sharing(holder.claim, claim);
  index(key, holder.claim, false);
  wake_interested(holder.claim);
  const Claim before = std::exchange(holder.claim, std::move(claim));
  index(key, holder.claim, true);
  if (gives_up_any(before)) wake_waiting();
  if (same_terms) return;
  wake_interested(holder.claim);
  for (const auto& [family, address] : holder.picked) changed_.merge(interested(address));
  wake_sharers(holder.claim);
}

// Whoever waits may find room beside this one.
void Allocator::wake_sharers(const Claim& claim) {
  if (claim.share_key.empty()) return;
  const auto group = groups_.find({claim.who.ns, claim.share_key});
  if (group == groups_.end()) return;
  for (const auto& other : group->second) {
    if (waiting_.contains(other)) changed_.insert(other);
  }
}

// Whether an address is no longer spoken for, and so anybody's.
bool Allocator::gives_up_any(const Claim& before) const {
  for (const auto* list : {&before.assigned, &before.requested, &before.served}) {
    for (const auto& address : *list) {
      if (!claimants_.contains(address)) return true;
    }
  }
  return false;
}

std::vector<Family> Allocator::families_of(const Claim& claim) const {
  if (!claim.families.empty()) return claim.families;
  for (const auto* list : {&claim.requested, &claim.assigned}) {
    if (!list->empty()) return {list->front().family()};
  }
  return {pools_.has(Family::kV4) || !pools_.has(Family::kV6) ? Family::kV4 : Family::kV6};
}

Allocation Allocator::allocate(const std::string& key, Claim wanted) {
  claim(key, std::move(wanted));
  Holder& holder = holders_.at(key);
  const auto families = families_of(holder.claim);
  for (const Family family : {Family::kV4, Family::kV6}) {
    const bool wanted_now = std::find(families.begin(), families.end(), family) != families.end();
    if (!wanted_now && !holding_back_) {
      drop(key, holder, family);
    }
  }
  Allocation out;
  waiting_.erase(key);
  for (const Family family : families) {
    const auto problem = settle_family(key, holder, family);
    if (!problem) {
      out.addresses.push_back(holder.picked.at(family));
      continue;
    }
    waiting_.insert(key);
    if (!out.problem) out.problem = problem;
  }
  // Dual stack that is only preferred is content with one family, unless it asked for the other.
  const bool content = !holder.claim.every_family && holder.claim.requested.empty();
  if (content && !out.addresses.empty()) out.problem.reset();
  if (out.problem) out.addresses.clear();
  note_pool(holder);
  out.degraded = outside(holder);
  changed_.erase(key);
  return out;
}

std::optional<Problem> Allocator::settle_family(const std::string& key, Holder& holder,
                                                Family family) {
  if (holding_back_) return stay(key, holder, family);
  if (const auto requested = of_family(holder.claim.requested, family)) {
    auto problem = take(key, holder, *requested);
    if (problem) drop(key, holder, family);
    return problem;
  }
  const auto picked = holder.picked.find(family);
  if (picked != holder.picked.end()) {
    const IpAddress held = picked->second;
    if (keeps(holder, held) && !take(key, holder, held)) return std::nullopt;
    drop(key, holder, family);
  }
  const auto assigned = of_family(holder.claim.assigned, family);
  if (assigned && keeps(holder, *assigned) && !take(key, holder, *assigned)) return std::nullopt;
  const auto served = of_family(holder.claim.served, family);
  if (served && keeps(holder, *served) && !take(key, holder, *served)) return std::nullopt;
  return pick(key, holder, family);
}

// Makes `key` an owner when nobody has a better claim; puts out whoever has a worse one.
std::optional<Problem> Allocator::take(const std::string& key, Holder& holder,
                                       const IpAddress& address) {
  const std::string text = address.to_string();
  if (auto problem = inadmissible(holder, address)) return problem;
  if (conflicts_.contains(address)) {
    return Problem{"AddressInUseOnNetwork", text + " is used by another host on the network"};
  }
  if (blocked_.contains(address)) {
    return Problem{"AddressOfNode", text + " is the address of a node"};
  }
  if (keep_resting_ && quarantine_.contains(address) && !keeps(holder, address)) {
    return Problem{"DataPlaneLost",
                   text + " rests, and a data plane that is lost may serve it still"};
  }
  const auto winning = winners(key, address);
  if (std::find(winning.begin(), winning.end(), key) == winning.end()) {
    const auto better = std::find_if(winning.begin(), winning.end(), [&](const auto& other) {
      return !can_share(holder.claim, holders_.at(other).claim);
    });
    return Problem{"AddressTaken", text + " belongs to " + *better};
  }
  const auto held = holder.picked.find(address.family());
  if (held != holder.picked.end() && held->second != address) drop(key, holder, address.family());
  for (const auto& other : std::set<std::string>(owners_[address])) {
    if (std::find(winning.begin(), winning.end(), other) == winning.end()) put_out(other, address);
  }
  if (owners_[address].insert(key).second) wake_sharers(holder.claim);
  quarantine_.erase(address);
  holder.picked[address.family()] = address;
  return std::nullopt;
}

void Allocator::put_out(const std::string& key, const IpAddress& address) {
  holders_.at(key).picked.erase(address.family());
  owners_.at(address).erase(key);
  changed_.insert(key);
}

std::vector<IpAddress> Allocator::held(const std::string& key) const {
  std::vector<IpAddress> out;
  const auto found = holders_.find(key);
  if (found == holders_.end()) return out;
  for (const auto& [family, address] : found->second.picked) out.push_back(address);
  return out;
}

void Allocator::drop(const std::string& key, Holder& holder, Family family) {
  const auto picked = holder.picked.find(family);
  if (picked == holder.picked.end()) return;
  const IpAddress address = picked->second;
  holder.picked.erase(picked);
  const auto owners = owners_.find(address);
  if (owners == owners_.end() || owners->second.erase(key) == 0) return;
  if (owners->second.empty()) {
    owners_.erase(owners);
    quarantine_[address] = ++releases_;
  }
  changed_.merge(interested(address));
  wake_waiting();
}

void Allocator::release(const std::string& key) {
  const auto found = holders_.find(key);
  if (found == holders_.end()) return;
  const Claim claim = found->second.claim;
  index(key, claim, false);
  drop(key, found->second, Family::kV4);
  drop(key, found->second, Family::kV6);
  waiting_.erase(key);
  holders_.erase(key);
  wake_interested(claim);
  if (gives_up_any(claim)) wake_waiting();
  changed_.erase(key);
}

void Allocator::wake_waiting() { changed_.insert(waiting_.begin(), waiting_.end()); }

void Allocator::end_quarantine(const IpAddress& address) {
  quarantine_.erase(address);
  pools_.freed(address);
  if (keep_resting_) wake_waiting();
}

void Allocator::mark_conflict(const IpAddress& address) {
  if (!conflicts_.insert(address).second) return;
  changed_.merge(interested(address));
}

void Allocator::end_conflict(const IpAddress& address) {
  if (conflicts_.erase(address) == 0) return;
  pools_.freed(address);
  changed_.merge(interested(address));
  wake_waiting();
}

void Allocator::set_blocked(std::set<IpAddress> blocked) {
  if (blocked == blocked_) return;
  for (const auto& address : blocked_) pools_.freed(address);
  blocked_ = std::move(blocked);
  for (const auto& [address, keys] : owners_) {
    if (blocked_.contains(address)) changed_.insert(keys.begin(), keys.end());
  }
  for (const auto& [address, keys] : claimants_) changed_.insert(keys.begin(), keys.end());
  wake_waiting();
}

std::set<std::string> Allocator::take_changed() { return std::exchange(changed_, {}); }

}  // namespace lb::plan
