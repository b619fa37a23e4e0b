#include "common/model/admission.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "common/model/diff.hpp"
#include "common/model/match.hpp"

namespace lb {
namespace {

using PortKey = std::tuple<Family, uint16_t, Protocol>;
using Held = std::map<MatchAtom, std::string>;  // by whom, each connection of an address and port
using Holders = std::map<IpAddress, Held>;      // of one port

IpAddress wildcard_of(const IpAddress& address) {
  return address.is_v4() ? IpAddress::v4(0) : IpAddress::v6({});
}

bool is_local(const IpAddress& address, const OwnSockets& own) {
  return address.is_loopback() || own.local_hosts.contains(address);
}

bool answers(const OwnSockets& own, const Endpoint& at) {
  return std::any_of(own.tcp.begin(), own.tcp.end(), [&](const Endpoint& each) {
    if (each.port != at.port) return false;
    if (each.address == at.address) return true;
    const bool takes = each.address.family() == at.address.family() || !each.address.is_v4();
    return each.address.is_wildcard() && takes && is_local(at.address, own);
  });
}

// The listeners given out so far.
class Listeners {
 public:
  // What stands in the way, nullptr when nothing does.
  const Held::value_type* holder(const IpAddress& address, const ServicePort& port) const {
    const auto found = ports_.find({address.family(), port.port, port.protocol});
    if (found == ports_.end()) return nullptr;
    const Holders& holders = found->second;
    const auto same = holders.find(address);
    if (same != holders.end()) return holder(same->second, port.match);
    // A wildcard has a socket of its own, which no name is shared with.
    const auto other = address.is_wildcard() ? holders.begin() : holders.find(wildcard_of(address));
    return other == holders.end() ? nullptr : &*other->second.begin();
  }

  void take(const IpAddress& address, const ServicePort& port, const std::string& key) {
    Held& held = ports_[{address.family(), port.port, port.protocol}][address];
    for (auto& atom : atoms_of(port.match)) held.emplace(std::move(atom), key);
    addresses_.insert(address);
  }

  bool answers(const Endpoint& at, Protocol protocol, const OwnSockets& own) const {
    const auto found = ports_.find({at.address.family(), at.port, protocol});
    if (found == ports_.end()) return false;
    if (found->second.contains(at.address)) return true;
    return is_local(at.address, own) && found->second.contains(wildcard_of(at.address));
  }

  bool is_vip(const IpAddress& address) const { return addresses_.contains(address); }

 private:
  static const Held::value_type* holder(const Held& held, const Match& match) {
    for (const auto& atom : atoms_of(match)) {
      if (const auto found = held.find(atom); found != held.end()) return &*found;
    }
    return nullptr;
  }

  std::map<PortKey, Holders> ports_;
  std::set<IpAddress> addresses_;
};

Failure failure_of(const Service& service, const IpAddress& address, const ServicePort& port,
                   std::string reason, std::string message) {
  return {service.key, address,           port.port,          port.protocol,
          {},          std::move(reason), std::move(message), port.match};
}

std::optional<Failure> refuse_listener(const Listeners& taken, const Service& service,
                                       const IpAddress& address, const ServicePort& port) {
  if (auto why = refuse_address(address, AddressUse::kListener, is_kubernetes_key(service.key))) {
    return failure_of(service, address, port, "AddressRefused", *why);
  }
  if (const auto* held = taken.holder(address, port)) {
    const auto& [atom, holder] = *held;
    const std::string what = atom == MatchAtom() ? "" : describe(atom) + ": ";
    return failure_of(service, address, port, "Conflict",
                      what + (holder == service.key ? "another listener of this service holds it"
                                                    : "held by service " + holder));
  }
  return std::nullopt;
}

bool keeps_all(const Service& service, const std::map<IpAddress, std::vector<size_t>>& kept) {
  return kept.size() == service.addresses.size() &&
         std::all_of(kept.begin(), kept.end(),
                     [&](const auto& each) { return each.second.size() == service.ports.size(); });
}

// Divides the service by which of its ports each address keeps; in the order of the addresses.
std::vector<Service> divide(const Service& service,
                            const std::map<IpAddress, std::vector<size_t>>& kept) {
  std::vector<Service> parts;
  std::map<std::vector<size_t>, size_t> part_of;
  for (const auto& [address, ports] : kept) {
    const auto [at, is_new] = part_of.emplace(ports, parts.size());
    if (is_new) {
      Service part{service.key, {}, {}, service.policy};
      for (const size_t i : ports) part.ports.push_back(service.ports[i]);
      parts.push_back(std::move(part));
    }
    parts[at->second].addresses.push_back(address);
  }
  return parts;
}

void admit_listeners(const ServiceList::Element& offered, Listeners& taken, Admission& out) {
  const Service& service = *offered;
  std::map<IpAddress, std::vector<size_t>> kept;
  for (const auto& address : service.addresses) {
    for (size_t i = 0; i < service.ports.size(); ++i) {
      if (auto failure = refuse_listener(taken, service, address, service.ports[i])) {
        out.failed.push_back(std::move(*failure));
        continue;
      }
      taken.take(address, service.ports[i], service.key);
      kept[address].push_back(i);
    }
  }
  if (!kept.empty() && keeps_all(service, kept)) return out.admitted.services.share_back(offered);
  for (auto& part : divide(service, kept)) out.admitted.services.push_back(std::move(part));
}

std::string listener_loop(const Endpoint& at) {
  return at.to_string() + " is answered by this data plane itself";
}

std::optional<std::string> refuse_backend(const Listeners& taken, const OwnSockets& own,
                                          const std::string& key, const ServicePort& port,
                                          const Backend& backend) {
  const Endpoint at = backend.endpoint();
  const bool kubernetes = is_kubernetes_key(key);
  if (auto why = refuse_address(at.address, AddressUse::kBackend, kubernetes)) return why;
  if (port.protocol == Protocol::kTcp && answers(own, at)) return listener_loop(at);
  if (taken.answers(at, port.protocol, own)) return listener_loop(at);
  if (kubernetes && taken.is_vip(at.address)) {
    return at.address.to_string() + " is the address of a load-balanced service";
  }
  return std::nullopt;
}

// Only once all listeners are known can a backend be told from one of them.
std::vector<Failure> refused_backends(const Service& service, const Listeners& taken,
                                      const OwnSockets& own) {
  std::vector<Failure> out;
  for (const auto& port : service.ports) {
    for (const auto& backend : port.backends) {
      auto why = refuse_backend(taken, own, service.key, port, backend);
      if (!why) continue;
      out.push_back(
          failure_of(service, service.addresses.front(), port, "AddressRefused", std::move(*why)));
      out.back().backend = backend.endpoint().to_string();
    }
  }
  return out;
}

void remove_backends(Service& service, const std::vector<Failure>& refused) {
  for (auto& port : service.ports) {
    std::erase_if(port.backends, [&](const Backend& backend) {
      const std::string at = backend.endpoint().to_string();
      return std::any_of(refused.begin(), refused.end(), [&](const Failure& each) {
        return each.port == port.port && each.protocol == port.protocol &&
               each.match == port.match && each.backend == at;
      });
    });
  }
}

bool same_listeners(const Service& a, const Service& b) {
  const auto same = [](const ServicePort& p, const ServicePort& q) {
    return p.port == q.port && p.protocol == q.protocol && p.match == q.match;
  };
  return a.addresses == b.addresses &&
         std::equal(a.ports.begin(), a.ports.end(), b.ports.begin(), b.ports.end(), same);
}

size_t position_of(const ServiceList& sorted, const std::string& key) {
  const auto found =
      std::lower_bound(sorted.begin(), sorted.end(), key,
                       [](const Service& s, const std::string& k) { return s.key < k; });
  const bool known = found != sorted.end() && found->key == key;
  return known ? static_cast<size_t>(found - sorted.begin()) : sorted.size();
}

}  // namespace

struct Admitter::Memory {
  Listeners taken;
  std::vector<Failure> listeners;                        // refused ones
  std::map<std::string, std::vector<Failure>> backends;  // refused ones, by key of the service
};

Admitter::Admitter(OwnSockets own) : own_(std::move(own)), memory_(std::make_unique<Memory>()) {}
Admitter::~Admitter() = default;

bool Admitter::set_local_hosts(std::set<IpAddress> now) {
  if (now == own_.local_hosts) return false;
  own_.local_hosts = std::move(now);
  anew_ = true;
  return true;
}

Admission Admitter::admit(const DesiredState& offered) {
  const StateDiff change = diff(offered_, offered);
  // Where nobody's listeners are others than before, each service stands for itself.
  const bool apart = !anew_ && change.removed.empty() &&
                     std::all_of(change.changed.begin(), change.changed.end(),
                                 [&](const Service& service) { return stands_alone(service); });
  offered_ = offered;
  if (!apart) {
    begin_anew();
  } else {
    for (auto each = change.changed.begin(); each != change.changed.end(); ++each) {
      const size_t at = position_of(admitted_.services, each->key);
      admitted_.services.replace(at, each.element());
      memory_->backends.erase(each->key);
      admit_backends(at);
    }
  }
  anew_ = false;
  admitted_.version = offered.version;
  return {admitted_, failures()};
}

// Had all its listeners, and wants just these.
bool Admitter::stands_alone(const Service& service) const {
  const size_t held = position_of(offered_.services, service.key);
  const size_t admitted = position_of(admitted_.services, service.key);
  return held < offered_.services.size() && admitted < admitted_.services.size() &&
         same_listeners(offered_.services[held], service) &&
         same_listeners(admitted_.services[admitted], service);
}

void Admitter::begin_anew() {
  *memory_ = {};
  Admission out;
  const ServiceList& services = offered_.services;
  for (auto each = services.begin(); each != services.end(); ++each) {
    admit_listeners(each.element(), memory_->taken, out);
  }
  memory_->listeners = std::move(out.failed);
  admitted_ = std::move(out.admitted);
  for (size_t i = 0; i < admitted_.services.size(); ++i) admit_backends(i);
}

void Admitter::admit_backends(size_t at) {
  auto refused = refused_backends(admitted_.services[at], memory_->taken, own_);
  if (refused.empty()) return;
  remove_backends(admitted_.services.edit(at), refused);
  auto& kept = memory_->backends[admitted_.services[at].key];
  kept.insert(kept.end(), std::make_move_iterator(refused.begin()),
              std::make_move_iterator(refused.end()));
}

std::vector<Failure> Admitter::failures() const {
  std::vector<Failure> out = memory_->listeners;
  for (const auto& [key, refused] : memory_->backends) {
    out.insert(out.end(), refused.begin(), refused.end());
  }
  return out;
}

Admission admit(const DesiredState& offered, const OwnSockets& own) {
  return Admitter(own).admit(offered);
}

}  // namespace lb
