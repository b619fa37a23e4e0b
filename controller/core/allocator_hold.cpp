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

void Allocator::hold_back(bool hold) {
  if (std::exchange(holding_back_, hold) == hold || hold) return;
  for (const auto& [key, holder] : holders_) changed_.insert(key);
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
