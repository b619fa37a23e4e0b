#include "common/model/admission.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "common/model/held_listeners.hpp"

namespace lb {
namespace {

constexpr char kConflict[] = "Conflict";

using PortKey = std::tuple<Family, uint16_t, Protocol>;

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

Failure failure_of(const Service& service, const IpAddress& address, const ServicePort& port,
                   std::string reason, std::string message) {
  return {service.key, address,           port.port,          port.protocol,
          {},          std::move(reason), std::move(message), port.match};
}

std::optional<Failure> refuse_listener(const HeldListeners& taken, const Service& service,
                                       const IpAddress& address, const ServicePort& port) {
  if (auto why = refuse_address(address, AddressUse::kListener, is_kubernetes_key(service.key))) {
    return failure_of(service, address, port, "AddressRefused", *why);
  }
  if (const auto* held = taken.holder(address, port)) {
    const auto& [atom, holder] = *held;
    const std::string what = atom == MatchAtom() ? "" : describe(atom) + ": ";
    return failure_of(service, address, port, kConflict,
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

void admit_listeners(const ServiceList::Element& offered, HeldListeners& taken, Admission& out) {
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

std::optional<std::string> refuse_backend(const HeldListeners& taken, const OwnSockets& own,
                                          const std::string& key, const ServicePort& port,
                                          const Backend& backend) {
  const Endpoint at = backend.endpoint();
  const bool kubernetes = is_kubernetes_key(key);
  if (auto why = refuse_address(at.address, AddressUse::kBackend, kubernetes)) return why;
  if (port.protocol == Protocol::kTcp && answers(own, at)) return listener_loop(at);
  if (taken.answers(at, port.protocol, is_local(at.address, own))) return listener_loop(at);
  if (kubernetes && taken.is_vip(at.address)) {
    return at.address.to_string() + " is the address of a load-balanced service";
  }
  return std::nullopt;
}

// Only once all listeners are known can a backend be told from one of them.
std::vector<Failure> refused_backends(const Service& service, const HeldListeners& taken,
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
  HeldListeners taken;
  std::set<PortKey> contested;  // where a listener was refused for another one; may be so no longer
  // What was refused, by key of the service.
  std::map<std::string, std::vector<Failure>> listeners;
  std::map<std::string, std::vector<Failure>> backends;

  void note_refused(std::vector<Failure> refused) {
    for (auto& each : refused) {
      if (each.reason == kConflict) {
        contested.insert({each.address.family(), each.port, each.protocol});
      }
      listeners[each.key].push_back(std::move(each));
    }
  }

  // Whether nobody else's listener depends on whether this service has its own.
  bool concerns_nobody(const Service& service) const {
    for (const auto& address : service.addresses) {
      for (const auto& port : service.ports) {
        if (contested.contains({address.family(), port.port, port.protocol})) return false;
      }
    }
    // All of this host's addresses are a wildcard's, as backends.
    return std::none_of(service.addresses.begin(), service.addresses.end(),
                        [](const IpAddress& address) { return address.is_wildcard(); });
  }
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
  const bool apart = change.removed.empty() &&
                     std::all_of(change.changed.begin(), change.changed.end(),
                                 [&](const Service& service) { return stands_alone(service); });
  offered_ = offered;
  judged_ = 0;
  // Until all is done: what memory runs out for is judged anew.
  const bool known = !std::exchange(anew_, true);
  if (known && apart) {
    for (auto each = change.changed.begin(); each != change.changed.end(); ++each) {
      judge_again(each.element());
    }
  } else if (!known || !take_in(change)) {
    begin_anew();
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
  memory_->note_refused(std::move(out.failed));
  admitted_ = std::move(out.admitted);
  for (size_t i = 0; i < admitted_.services.size(); ++i) admit_backends(i);
}

// False, and all is to be judged anew: others get, lose or keep listeners by this change.
bool Admitter::take_in(const StateDiff& change) {
  std::set<IpAddress> moved;  // addresses whose listeners are others than before
  Pieces pieces;
  for (const auto& key : change.removed) pieces[key];
  for (const auto& service : change.changed) pieces[service.key];
  for (const auto& [key, none] : pieces) {
    if (!leave(key, moved)) return false;
  }
  for (auto each = change.changed.begin(); each != change.changed.end(); ++each) {
    Admission out;
    if (!memory_->concerns_nobody(*each)) return false;
    admit_listeners(each.element(), memory_->taken, out);
    memory_->note_refused(std::move(out.failed));
    if (!memory_->concerns_nobody(*each)) return false;
    moved.insert(each->addresses.begin(), each->addresses.end());
    pieces[each->key] = std::move(out.admitted.services);
  }
  put_in_place(pieces);
  for (const auto& [key, now] : pieces) judge_pieces(key);
  return judge_who_leads_to(moved, pieces);
}

// Gives up all the listeners of a service.
bool Admitter::leave(const std::string& key, std::set<IpAddress>& moved) {
  const ServiceList& admitted = admitted_.services;
  for (size_t i = position_of(admitted, key); i < admitted.size() && admitted[i].key == key; ++i) {
    if (!memory_->concerns_nobody(admitted[i])) return false;
    for (const auto& address : admitted[i].addresses) {
      for (const auto& port : admitted[i].ports) memory_->taken.release(address, port);
      moved.insert(address);
    }
  }
  memory_->listeners.erase(key);
  memory_->backends.erase(key);
  return true;
}

// In the place of what was admitted under these keys.
void Admitter::put_in_place(const Pieces& pieces) {
  const ServiceList before = std::exchange(admitted_.services, {});
  auto each = before.begin();
  for (const auto& [key, now] : pieces) {
    for (; each != before.end() && each->key < key; ++each) {
      admitted_.services.share_back(each.element());
    }
    while (each != before.end() && each->key == key) ++each;
    for (auto piece = now.begin(); piece != now.end(); ++piece) {
      admitted_.services.share_back(piece.element());
    }
  }
  for (; each != before.end(); ++each) admitted_.services.share_back(each.element());
}

// Their backends may be listeners of ours now, or may be so no longer. False: one of them is in
// pieces, and what was offered is no longer seen from them.
bool Admitter::judge_who_leads_to(const std::set<IpAddress>& moved, const Pieces& judged) {
  const auto leads = [&](const ServicePort& port) {
    return std::any_of(port.backends.begin(), port.backends.end(),
                       [&](const Backend& backend) { return moved.contains(backend.address); });
  };
  const ServiceList& services = offered_.services;
  for (auto each = services.begin(); each != services.end(); ++each) {
    if (!std::any_of(each->ports.begin(), each->ports.end(), leads)) continue;
    if (judged.contains(each->key)) continue;
    const size_t at = position_of(admitted_.services, each->key);
    if (at == admitted_.services.size()) continue;  // has no listener
    if (!same_listeners(admitted_.services[at], *each)) return false;
    judge_again(each.element());
  }
  return true;
}

// Of one that has all its listeners: the backends.
void Admitter::judge_again(const ServiceList::Element& offered) {
  const size_t at = position_of(admitted_.services, offered->key);
  admitted_.services.replace(at, offered);
  judge_pieces(offered->key);
}

void Admitter::judge_pieces(const std::string& key) {
  memory_->backends.erase(key);
  const ServiceList& admitted = admitted_.services;
  for (size_t i = position_of(admitted, key); i < admitted.size() && admitted[i].key == key; ++i) {
    admit_backends(i);
  }
}

void Admitter::admit_backends(size_t at) {
  ++judged_;
  auto refused = refused_backends(admitted_.services[at], memory_->taken, own_);
  if (refused.empty()) return;
  remove_backends(admitted_.services.edit(at), refused);
  auto& kept = memory_->backends[admitted_.services[at].key];
  kept.insert(kept.end(), std::make_move_iterator(refused.begin()),
              std::make_move_iterator(refused.end()));
}

std::vector<Failure> Admitter::failures() const {
  std::vector<Failure> out;
  for (const auto* all : {&memory_->listeners, &memory_->backends}) {
    for (const auto& [key, refused] : *all) out.insert(out.end(), refused.begin(), refused.end());
  }
  return out;
}

Admission admit(const DesiredState& offered, const OwnSockets& own) {
  return Admitter(own).admit(offered);
}

}  // namespace lb
