#include "controller/core/fleet_members.hpp"

#include <optional>
#include <set>

namespace lb::plan {
namespace {

constexpr char kPortName[] = "admin";

struct Candidate {
  bool joins = false;
  std::set<Endpoint> addresses;  // those of IPv4 sort first
};

std::optional<uint16_t> admin_port(const EndpointSliceObject& slice) {
  for (const auto& port : slice.ports) {
    if (port.name == kPortName && port.protocol == "TCP") return port.port;
  }
  if (slice.ports.size() != 1 || slice.ports[0].protocol != "TCP") return std::nullopt;
  return slice.ports[0].port;
}

bool fit_to_join(const SliceEndpoint& endpoint) {
  // Absent means ready, by the API's own words.
  return endpoint.ready.value_or(true) || endpoint.serving.value_or(false);
}

std::map<std::string, Candidate> candidates_of(const std::vector<EndpointSliceObject>& slices) {
  std::map<std::string, Candidate> out;
  for (const auto& slice : slices) {
    const auto port = admin_port(slice);
    if (!port || *port == 0) continue;
    for (const auto& endpoint : slice.endpoints) {
      // The API asks consumers to use the first address only.
      if (endpoint.addresses.empty()) continue;
      const auto address = IpAddress::parse(endpoint.addresses.front());
      if (!address) continue;
      auto& candidate =
          out[endpoint.target_name.empty() ? address->to_string() : endpoint.target_name];
      candidate.joins = candidate.joins || fit_to_join(endpoint);
      candidate.addresses.insert({*address, *port});
    }
  }
  return out;
}

}  // namespace

const FleetMembers::Members& FleetMembers::update(const std::vector<EndpointSliceObject>& slices) {
  const auto candidates = candidates_of(slices);
  Members next;
  std::set<Endpoint> taken;
  for (const auto& [name, address] : members_) {
    const auto found = candidates.find(name);
    if (found == candidates.end() || !found->second.addresses.contains(address)) continue;
    next.emplace(name, address);
    taken.insert(address);
  }
  for (const auto& [name, candidate] : candidates) {
    if (next.contains(name)) continue;
    if (!candidate.joins && !members_.contains(name)) continue;
    const Endpoint address = *candidate.addresses.begin();
    if (taken.insert(address).second) next.emplace(name, address);
  }
  members_ = std::move(next);
  return members_;
}

}  // namespace lb::plan
