#include "common/model/held_listeners.hpp"

#include <utility>

namespace lb {
namespace {

using Held = HeldListeners::Held;

IpAddress wildcard_of(const IpAddress& address) {
  return address.is_v4() ? IpAddress::v4(0) : IpAddress::v6({});
}

const Held::value_type* holder_of_any(const Held& held, const Match& match) {
  for (const auto& atom : atoms_of(match)) {
    if (const auto found = held.find(atom); found != held.end()) return &*found;
  }
  return nullptr;
}

}  // namespace

const Held::value_type* HeldListeners::holder(const IpAddress& address,
                                              const ServicePort& port) const {
  const auto found = ports_.find({address.family(), port.port, port.protocol});
  if (found == ports_.end()) return nullptr;
  const Holders& holders = found->second;
  const auto same = holders.find(address);
  if (same != holders.end()) return holder_of_any(same->second, port.match);
  // A wildcard has a socket of its own, which no name is shared with.
  const auto other = address.is_wildcard() ? holders.begin() : holders.find(wildcard_of(address));
  return other == holders.end() ? nullptr : &*other->second.begin();
}

void HeldListeners::take(const IpAddress& address, const ServicePort& port,
                         const std::string& key) {
  Held& held = ports_[{address.family(), port.port, port.protocol}][address];
  for (auto& atom : atoms_of(port.match)) held.emplace(std::move(atom), key);
  ++addresses_[address];
}

void HeldListeners::release(const IpAddress& address, const ServicePort& port) {
  const auto holders = ports_.find({address.family(), port.port, port.protocol});
  const auto held = holders->second.find(address);
  for (const auto& atom : atoms_of(port.match)) held->second.erase(atom);
  if (held->second.empty()) holders->second.erase(held);
  if (holders->second.empty()) ports_.erase(holders);
  if (--addresses_.at(address) == 0) addresses_.erase(address);
}

bool HeldListeners::answers(const Endpoint& at, Protocol protocol, bool local) const {
  const auto found = ports_.find({at.address.family(), at.port, protocol});
  if (found == ports_.end()) return false;
  if (found->second.contains(at.address)) return true;
  return local && found->second.contains(wildcard_of(at.address));
}

}  // namespace lb
