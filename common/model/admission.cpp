#include "common/model/admission.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

namespace lb {
namespace {

using PortKey = std::tuple<Family, uint16_t, Protocol>;
using Holders = std::map<IpAddress, std::string>;  // who listens where, on one port

IpAddress wildcard_of(const IpAddress& address) {
  return address.is_v4() ? IpAddress::v4(0) : IpAddress::v6({});
}

// The listeners given out so far.
class Listeners {
 public:
  // The key of the service that stands in the way, nullptr when nobody does.
  const std::string* holder(const IpAddress& address, const ServicePort& port) const {
    const auto found = ports_.find({address.family(), port.port, port.protocol});
    if (found == ports_.end()) return nullptr;
    const Holders& holders = found->second;
    if (address.is_wildcard()) return &holders.begin()->second;
    auto holder = holders.find(address);
    if (holder == holders.end()) holder = holders.find(wildcard_of(address));
    return holder == holders.end() ? nullptr : &holder->second;
  }

  void take(const IpAddress& address, const ServicePort& port, const std::string& key) {
    ports_[{address.family(), port.port, port.protocol}].emplace(address, key);
    addresses_.insert(address);
  }

  bool answers(const Endpoint& at, Protocol protocol, const OwnSockets& own) const {
    const auto found = ports_.find({at.address.family(), at.port, protocol});
    if (found == ports_.end()) return false;
    if (found->second.contains(at.address)) return true;
    const bool local = at.address.is_loopback() || own.local_hosts.contains(at.address);
    return local && found->second.contains(wildcard_of(at.address));
  }

  bool is_vip(const IpAddress& address) const { return addresses_.contains(address); }

 private:
  std::map<PortKey, Holders> ports_;
  std::set<IpAddress> addresses_;
};

Failure failure_of(const Service& service, const IpAddress& address, const ServicePort& port,
                   std::string reason, std::string message) {
  return {service.key, address,           port.port,         port.protocol,
          {},          std::move(reason), std::move(message)};
}

std::optional<Failure> refuse_listener(const Listeners& taken, const Service& service,
                                       const IpAddress& address, const ServicePort& port) {
  if (auto why = refuse_address(address, AddressUse::kListener, is_kubernetes_key(service.key))) {
    return failure_of(service, address, port, "AddressRefused", *why);
  }
  if (const std::string* holder = taken.holder(address, port)) {
    return failure_of(service, address, port, "Conflict",
                      *holder == service.key ? "another listener of this service holds it"
                                             : "held by service " + *holder);
  }
  return std::nullopt;
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

void admit_listeners(const Service& service, Listeners& taken, Admission& out) {
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
  if (port.protocol == Protocol::kTcp && own.tcp.contains(at)) return listener_loop(at);
  if (taken.answers(at, port.protocol, own)) return listener_loop(at);
  if (kubernetes && taken.is_vip(at.address)) {
    return at.address.to_string() + " is the address of a load-balanced service";
  }
  return std::nullopt;
}

// Only once all listeners are known can a backend be told from one of them.
void admit_backends(Service& service, const Listeners& taken, const OwnSockets& own,
                    std::vector<Failure>& failed) {
  for (auto& port : service.ports) {
    std::erase_if(port.backends, [&](const Backend& backend) {
      auto why = refuse_backend(taken, own, service.key, port, backend);
      if (!why) return false;
      Failure failure =
          failure_of(service, service.addresses.front(), port, "AddressRefused", std::move(*why));
      failure.backend = backend.endpoint().to_string();
      failed.push_back(std::move(failure));
      return true;
    });
  }
}

}  // namespace

Admission admit(const DesiredState& offered, const OwnSockets& own) {
  Admission out;
  out.admitted.version = offered.version;
  Listeners taken;
  for (const auto& service : offered.services) admit_listeners(service, taken, out);
  for (auto& service : out.admitted.services) admit_backends(service, taken, own, out.failed);
  return out;
}

}  // namespace lb
