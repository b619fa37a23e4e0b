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

const char* name(Family family) { return family == Family::kV4 ? "IPv4" : "IPv6"; }

// Network and broadcast addresses of the usual subnets: some hosts refuse to talk to them. They are
// still given to whoever asks.
bool awkward(const IpAddress& address) {
  const uint8_t last = address.bytes()[3];
  return address.is_v4() && (last == 0 || last == 255);
}

}  // namespace

bool Allocator::in_pool(const IpAddress& address) const {
  return std::any_of(pools_.begin(), pools_.end(),
                     [&](const auto& pool) { return pool.contains(address); });
}

bool Allocator::has_pool(Family family) const {
  return std::any_of(pools_.begin(), pools_.end(),
                     [&](const auto& pool) { return pool.first.family() == family; });
}

bool Allocator::usable(const IpAddress& address) const {
  return in_pool(address) && !conflicts_.contains(address) && !blocked_.contains(address);
}

Allocator::Rank Allocator::rank(const Holder& holder, const IpAddress& address) const {
  if (contains(holder.claim.assigned, address)) {
    const auto requested = of_family(holder.claim.requested, address.family());
    // Whoever asks for another address gives up the one it has.
    if (!requested || *requested == address) return Rank::kAssigned;
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

void Allocator::index(const std::string& key, const Claim& claim, bool add) {
  for (const auto* list : {&claim.assigned, &claim.requested, &claim.served}) {
    for (const auto& address : *list) {
      if (add) {
        claimants_[address].insert(key);
      } else if (auto found = claimants_.find(address); found != claimants_.end()) {
        found->second.erase(key);
        if (found->second.empty()) claimants_.erase(found);
      }
    }
  }
}

void Allocator::claim(const std::string& key, Claim claim) {
  Holder& holder = holders_[key];
  if (holder.claim == claim) return;
  index(key, holder.claim, false);
  // Whoever waited for an address that this claim gives up may have it now.
  for (const auto* list : {&holder.claim.assigned, &holder.claim.requested, &holder.claim.served}) {
    for (const auto& address : *list) {
      const auto others = claimants_.find(address);
      if (others != claimants_.end()) changed_.insert(others->second.begin(), others->second.end());
    }
  }
  const Claim before = std::exchange(holder.claim, std::move(claim));
  index(key, holder.claim, true);
  if (gives_up_any(before)) wake_waiting();
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
  return {has_pool(Family::kV4) || !has_pool(Family::kV6) ? Family::kV4 : Family::kV6};
}

Allocation Allocator::allocate(const std::string& key, Claim wanted) {
  claim(key, std::move(wanted));
  Holder& holder = holders_.at(key);
  const auto families = families_of(holder.claim);
  for (const Family family : {Family::kV4, Family::kV6}) {
    if (std::find(families.begin(), families.end(), family) == families.end()) {
      drop(key, holder, family);
    }
  }
  Allocation out;
  holder.waiting = false;
  for (const Family family : families) {
    const auto problem = settle_family(key, holder, family);
    if (!problem) {
      out.addresses.push_back(holder.picked.at(family));
      continue;
    }
    holder.waiting = true;
    if (!out.problem) out.problem = problem;
  }
  // Dual stack that is only preferred is content with one family, unless it asked for the other.
  const bool content = !holder.claim.every_family && holder.claim.requested.empty();
  if (content && !out.addresses.empty()) out.problem.reset();
  if (out.problem) out.addresses.clear();
  changed_.erase(key);
  return out;
}

std::optional<Problem> Allocator::settle_family(const std::string& key, Holder& holder,
                                                Family family) {
  if (const auto requested = of_family(holder.claim.requested, family)) {
    auto problem = take(key, holder, *requested);
    if (problem) drop(key, holder, family);
    return problem;
  }
  const auto picked = holder.picked.find(family);
  if (picked != holder.picked.end()) {
    const IpAddress held = picked->second;
    if (usable(held) && !take(key, holder, held)) return std::nullopt;
    drop(key, holder, family);
  }
  const auto assigned = of_family(holder.claim.assigned, family);
  if (assigned && usable(*assigned) && !take(key, holder, *assigned)) return std::nullopt;
  const auto served = of_family(holder.claim.served, family);
  if (served && usable(*served) && !take(key, holder, *served)) return std::nullopt;
  return pick(key, holder, family);
}

// Makes `key` the owner when nobody has a better claim; puts out whoever has a worse one.
std::optional<Problem> Allocator::take(const std::string& key, Holder& holder,
                                       const IpAddress& address) {
  const std::string text = address.to_string();
  if (!in_pool(address)) {
    return Problem{"AddressNotInPool", text + " is in no pool of this controller"};
  }
  if (conflicts_.contains(address)) {
    return Problem{"AddressInUseOnNetwork", text + " is used by another host on the network"};
  }
  if (blocked_.contains(address)) {
    return Problem{"AddressOfNode", text + " is the address of a node"};
  }
  if (const auto found = claimants_.find(address); found != claimants_.end()) {
    for (const auto& other : found->second) {
      if (other != key && before(other, key, address)) {
        return Problem{"AddressTaken", text + " belongs to " + other};
      }
    }
  }
  const auto owner = owner_.find(address);
  if (owner != owner_.end() && owner->second != key) {
    const std::string loser = owner->second;
    if (before(loser, key, address)) return Problem{"AddressTaken", text + " belongs to " + loser};
    holders_.at(loser).picked.erase(address.family());
    changed_.insert(loser);
  }
  const auto held = holder.picked.find(address.family());
  if (held != holder.picked.end() && held->second != address) drop(key, holder, address.family());
  owner_[address] = key;
  quarantine_.erase(address);
  holder.picked[address.family()] = address;
  return std::nullopt;
}

std::optional<Problem> Allocator::pick(const std::string& key, Holder& holder, Family family) {
  if (!has_pool(family)) {
    return Problem{"NoPool", std::string("no pool has ") + name(family) + " addresses"};
  }
  auto address = first_free(family);
  if (!address) address = oldest_quarantined(family);
  if (!address) {
    return Problem{"PoolExhausted",
                   std::string("no ") + name(family) + " address is free in any pool"};
  }
  return take(key, holder, *address);
}

bool Allocator::wanted_by_claim(const IpAddress& address) const {
  return claimants_.contains(address);
}

std::optional<IpAddress> Allocator::first_free(Family family) const {
  for (const auto& pool : pools_) {
    if (pool.first.family() != family) continue;
    const bool single = pool.first == pool.last;
    for (std::optional<IpAddress> each = pool.first; each && *each <= pool.last;
         each = each->next()) {
      const bool free = !owner_.contains(*each) && !quarantine_.contains(*each) &&
                        !wanted_by_claim(*each) && usable(*each);
      if (free && (single || !awkward(*each))) return each;
    }
  }
  return std::nullopt;
}

std::optional<IpAddress> Allocator::oldest_quarantined(Family family) const {
  std::optional<IpAddress> oldest;
  for (const auto& [address, order] : quarantine_) {
    if (address.family() != family || !usable(address) || wanted_by_claim(address)) continue;
    if (!oldest || order < quarantine_.at(*oldest)) oldest = address;
  }
  return oldest;
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
  const auto owner = owner_.find(address);
  if (owner == owner_.end() || owner->second != key) return;
  owner_.erase(owner);
  quarantine_[address] = ++releases_;
  const auto found = claimants_.find(address);
  if (found != claimants_.end()) changed_.insert(found->second.begin(), found->second.end());
  wake_waiting();
}

void Allocator::release(const std::string& key) {
  const auto found = holders_.find(key);
  if (found == holders_.end()) return;
  const Claim claim = found->second.claim;
  index(key, claim, false);
  drop(key, found->second, Family::kV4);
  drop(key, found->second, Family::kV6);
  holders_.erase(key);
  for (const auto* list : {&claim.assigned, &claim.requested, &claim.served}) {
    for (const auto& address : *list) {
      const auto others = claimants_.find(address);
      if (others != claimants_.end()) changed_.insert(others->second.begin(), others->second.end());
    }
  }
  if (gives_up_any(claim)) wake_waiting();
  changed_.erase(key);
}

void Allocator::wake_waiting() {
  for (const auto& [key, holder] : holders_) {
    if (holder.waiting) changed_.insert(key);
  }
}

void Allocator::end_quarantine(const IpAddress& address) { quarantine_.erase(address); }

std::set<IpAddress> Allocator::quarantined() const {
  std::set<IpAddress> out;
  for (const auto& [address, order] : quarantine_) out.insert(address);
  return out;
}

void Allocator::mark_conflict(const IpAddress& address) {
  if (!conflicts_.insert(address).second) return;
  const auto owner = owner_.find(address);
  if (owner != owner_.end()) changed_.insert(owner->second);
}

void Allocator::end_conflict(const IpAddress& address) {
  if (conflicts_.erase(address) == 0) return;
  const auto found = claimants_.find(address);
  if (found != claimants_.end()) changed_.insert(found->second.begin(), found->second.end());
  wake_waiting();
}

void Allocator::set_blocked(std::set<IpAddress> blocked) {
  if (blocked == blocked_) return;
  blocked_ = std::move(blocked);
  for (const auto& [address, key] : owner_) {
    if (blocked_.contains(address)) changed_.insert(key);
  }
  for (const auto& [address, keys] : claimants_) changed_.insert(keys.begin(), keys.end());
  wake_waiting();
}

std::set<std::string> Allocator::take_changed() { return std::exchange(changed_, {}); }

Allocator::Usage Allocator::usage() const {
  Usage out{owner_.size(), quarantine_.size(), conflicts_.size(), 0};
  for (const auto& [key, holder] : holders_) out.waiting += holder.waiting ? 1 : 0;
  return out;
}

}  // namespace lb::plan
