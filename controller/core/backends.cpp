#include "controller/core/backends.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "common/model/shortened.hpp"

namespace lb::plan {
namespace {

constexpr size_t kMaxName = 253;  // RFC 1123
constexpr char kServiceNameLabel[] = "kubernetes.io/service-name";

struct Candidate {
  Backend backend;
  bool terminating = false;
};

// Ordered, so the outcome never depends on the order in which slices arrived.
using Candidates = std::map<Endpoint, Candidate>;

bool belongs_to(const EndpointSliceObject& slice, const ServiceObject& service) {
  const auto label = slice.meta.labels.find(kServiceNameLabel);
  return slice.meta.ns == service.meta.ns && label != slice.meta.labels.end() &&
         label->second == service.meta.name;
}

std::optional<Family> family_of(const EndpointSliceObject& slice) {
  if (slice.address_type == "IPv4") return Family::kV4;
  if (slice.address_type == "IPv6") return Family::kV6;
  return std::nullopt;  // FQDN: deprecated, and names are not for the wire
}

// Pod addresses are reused while the old pod still terminates: the living one wins. Then the
// better state, then the name, so that the choice is the same whatever came first.
auto merit(const Candidate& c) {
  return std::tuple(c.terminating, c.backend.state, c.backend.name, c.backend.node, c.backend.zone);
}

void offer(Candidates& candidates, Candidate candidate) {
  const auto [held, added] = candidates.try_emplace(candidate.backend.endpoint(), candidate);
  if (!added && merit(candidate) < merit(held->second)) held->second = std::move(candidate);
}

// The zone that an endpoint serves: where it is, unless the hints of its slice send others to it.
const std::string& zone_of(const SliceEndpoint& endpoint, bool hinted) {
  const auto& zones = endpoint.hinted_zones;
  const bool own = std::find(zones.begin(), zones.end(), endpoint.zone) != zones.end();
  return hinted && !own && !zones.empty() ? zones.front() : endpoint.zone;
}

Candidate make_candidate(const SliceEndpoint& endpoint, const IpAddress& address, uint16_t port,
                         bool hinted) {
  Candidate out;
  out.terminating = endpoint.terminating.value_or(false);
  out.backend.address = address;
  out.backend.port = port;
  out.backend.state = state_of(endpoint);
  // Whoever may write slices chooses these, and they must not make a document that is refused.
  out.backend.name = shortened(endpoint.target_name, kMaxName);
  out.backend.node = shortened(endpoint.node_name, kMaxName);
  out.backend.zone = shortened(zone_of(endpoint, hinted), kMaxName);
  return out;
}

class Joiner {
 public:
  Joiner(const ServiceObject& service, const std::vector<EndpointSliceObject>& slices,
         const Pods* pods)
      : service_(service), slices_(slices), pods_(pods), hinted_(hinted()) {}

  JoinedPorts run() {
    for (const PortObject& port : service_.ports) add_port(port);
    return std::move(out_);
  }

 private:
  void add_port(const PortObject& port) {
    if (port.protocol != "TCP" && port.protocol != "UDP") {
      out_.problems.push_back(
          {"UnsupportedProtocol", port.protocol + " is not supported", port.port, port.protocol});
      return;
    }
    if (port.port == 0 || !seen_.insert({port.port, port.protocol}).second) {
      out_.problems.push_back({"InvalidRequest", "spec.ports has a port without a number, or twice",
                               port.port, port.protocol});
      return;
    }
    ServicePort joined;
    joined.name = shortened(port.name, kMaxName);
    joined.port = port.port;
    joined.protocol = port.protocol == "UDP" ? Protocol::kUdp : Protocol::kTcp;
    for (auto& [endpoint, candidate] : candidates_of(port)) {
      joined.backends.push_back(std::move(candidate.backend));
    }
    out_.ports.push_back(std::move(joined));
  }

  Candidates candidates_of(const PortObject& port) {
    Candidates out;
    for (const EndpointSliceObject& slice : slices_) {
      const auto family = family_of(slice);
      if (!family || !belongs_to(slice, service_)) continue;
      for (const SlicePort& slice_port : slice.ports) {
        const bool same = slice_port.name == port.name && slice_port.protocol == port.protocol;
        // The number is the slice's: a named targetPort may differ from pod to pod.
        if (same && slice_port.port.value_or(0) != 0)
          add_slice(out, slice, *family, *slice_port.port);
      }
    }
    return out;
  }

  void add_slice(Candidates& out, const EndpointSliceObject& slice, Family family, uint16_t port) {
    for (const SliceEndpoint& endpoint : slice.endpoints) {
      if (endpoint.addresses.empty()) continue;
      // Only the first address: the others were never given a meaning (discovery.k8s.io/v1).
      const auto address = IpAddress::parse(endpoint.addresses.front());
      if (!address || address->family() != family) continue;
      if (const auto why = refuse_address(*address, AddressUse::kBackend, true)) {
        report("AddressRefused", *address, "backend refused: " + *why);
        continue;
      }
      if (pods_ != nullptr && !is_of_pod(*pods_, slice, endpoint, *address)) {
        if (state_of(endpoint) == BackendState::kReady) report_stranger(slice, *address);
        continue;
      }
      offer(out, make_candidate(endpoint, *address, port, hinted_));
    }
  }

  // Hints are made for all endpoints together: where a ready one has none they are out of date.
  bool hinted() const {
    for (const EndpointSliceObject& slice : slices_) {
      if (!belongs_to(slice, service_)) continue;
      for (const SliceEndpoint& each : slice.endpoints) {
        if (state_of(each) == BackendState::kReady && each.hinted_zones.empty()) return false;
      }
    }
    return true;
  }

  void report_stranger(const EndpointSliceObject& slice, const IpAddress& address) {
    report("EndpointNotAPod", address,
           "no connections go to " + address.to_string() + " of EndpointSlice " + slice.meta.name +
               ": it is not the address of a Pod of this namespace that it names");
  }

  void report(const char* reason, const IpAddress& address, std::string why) {
    if (!refused_.insert({reason, address}).second) return;
    out_.problems.push_back({reason, std::move(why)});
  }

  const ServiceObject& service_;
  const std::vector<EndpointSliceObject>& slices_;
  const Pods* const pods_;  // null: endpoints are believed
  const bool hinted_;
  std::set<std::pair<std::string, IpAddress>> refused_;
  std::set<std::pair<uint16_t, std::string>> seen_;
  JoinedPorts out_;
};

}  // namespace

BackendState state_of(const SliceEndpoint& endpoint) {
  const bool ready = endpoint.ready.value_or(true);
  if (ready) return BackendState::kReady;
  const bool serving = endpoint.serving.value_or(ready);
  const bool terminating = endpoint.terminating.value_or(false);
  return serving && terminating ? BackendState::kDraining : BackendState::kNotReady;
}

JoinedPorts join(const ServiceObject& service, const std::vector<EndpointSliceObject>& slices,
                 const Pods* pods) {
  return Joiner(service, slices, pods).run();
}

}  // namespace lb::plan
