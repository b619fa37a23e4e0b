#include "controller/core/source_service.hpp"

#include <algorithm>

#include "controller/core/annotations.hpp"
#include "controller/core/client_ranges.hpp"
#include "controller/core/joins.hpp"
#include "controller/core/node_targets.hpp"
#include "controller/core/text.hpp"

namespace lb::plan {
namespace {

std::string annotation(const ServiceObject& service, const char* name) {
  const auto found = service.meta.annotations.find(name);
  return found == service.meta.annotations.end() ? std::string{} : found->second;
}

// What is asked for and cannot be done keeps the Service from being served: another address, or
// more clients, than its owner meant would be worse.
void refuse(SourceService& out, std::string message) {
  out.problems.push_back({"InvalidRequest", std::move(message), 0, {}, true});
}

std::vector<IpAddress> parse_addresses(const std::vector<std::string>& texts, SourceService& out) {
  std::vector<IpAddress> parsed;
  for (const auto& text : texts) {
    const auto address = IpAddress::parse(text);
    if (!address) {
      refuse(out, "requested address: " + address.error().message);
    } else if (std::any_of(parsed.begin(), parsed.end(),
                           [&](const auto& p) { return p.family() == address->family(); })) {
      refuse(out, "more than one address of a family is requested");
    } else {
      parsed.push_back(*address);
    }
  }
  std::sort(parsed.begin(), parsed.end());
  return parsed;
}

// When the annotation is there too it must name what the field names, since nothing says which of
// the two is the newer wish.
std::vector<IpAddress> requested_addresses(const ServiceObject& service, SourceService& out) {
  const auto field = parse_addresses(split_list(service.load_balancer_ip), out);
  const auto listed = parse_addresses(split_list(annotation(service, kAddressesAnnotation)), out);
  if (listed.empty()) return field;
  for (const IpAddress& each : field) {
    if (std::find(listed.begin(), listed.end(), each) != listed.end()) continue;
    refuse(out, "spec.loadBalancerIP asks for " + each.to_string() +
                    ", which the annotation empalme.io/addresses does not name");
    return {};
  }
  return listed;
}

// A range that cannot be read blocks the Service: leaving it out could mean "everyone".
std::vector<Cidr> source_ranges(const ServiceObject& service, SourceService& out) {
  auto texts = service.source_ranges;
  if (texts.empty()) texts = split_list(annotation(service, kSourceRangesAnnotation));
  std::vector<Cidr> ranges;
  for (const auto& text : texts) {
    const auto range = Cidr::parse(trimmed(text));
    if (range) {
      ranges.push_back(*range);
    } else {
      refuse(out, "loadBalancerSourceRanges: " + range.error().message);
    }
  }
  if (says_everyone(ranges)) ranges.push_back(Cidr::parse("::/0").value());
  return ranges;
}

std::vector<Family> families(const ServiceObject& service) {
  std::vector<Family> out;
  for (const auto& name : service.ip_families) {
    if (name == "IPv4") out.push_back(Family::kV4);
    if (name == "IPv6") out.push_back(Family::kV6);
  }
  return out;
}

void check_families(const KubeMeta& meta, SourceService& out) {
  if (meta.families.empty()) return;
  for (const auto& address : meta.requested) {
    if (std::count(meta.families.begin(), meta.families.end(), address.family()) != 0) continue;
    refuse(out, address.to_string() + " is requested, but spec.ipFamilies lacks its family");
  }
}

// Here an empty list is everyone.
bool narrower(const std::vector<Cidr>& inner, const std::vector<Cidr>& outer) {
  return !inner.empty() && within(inner, outer);
}

// An annotation may narrow what the Service lets in for one port, and widen it nowhere.
void check_ranges(const std::vector<Cidr>& asked, SourceService& out) {
  if (asked.empty()) return;
  auto now = out.policy.source_ranges;
  if (says_everyone(now)) now.push_back(Cidr::parse("::/0").value());
  const bool same = narrower(now, asked) && within(asked, now);
  const bool wider = std::any_of(out.ports.begin(), out.ports.end(), [&](const ServicePort& port) {
    return !narrower(port.policy.source_ranges, asked);
  });
  if (same && !wider) return;
  refuse(out, "loadBalancerSourceRanges and an annotation source-ranges contradict each other");
}

// The API server fills the time in: only another one than that was asked for.
void check_affinity(const ServiceObject& service, SourceService& out) {
  const uint32_t asked = service.affinity_timeout_s, now = out.policy.affinity_seconds;
  if (service.session_affinity != "ClientIP" || now == asked) return;
  if (now != 0 && asked == ServiceObject{}.affinity_timeout_s) return;
  refuse(out, "spec.sessionAffinity ClientIP for " + std::to_string(asked) +
                  " s and the annotation empalme.io/affinity-seconds: " + std::to_string(now) +
                  " contradict each other");
}

// PreferClose is what PreferSameZone was called before Kubernetes 1.34.
bool asks_for_its_zone(const ServiceObject& service) {
  const std::string& asked = service.traffic_distribution;
  return asked == "PreferClose" || asked == "PreferSameZone" || asked == "PreferSameNode";
}

void check_distribution(const ServiceObject& service, SourceService& out) {
  const std::string& asked = service.traffic_distribution;
  const auto keeps = [](const ServicePort& port) { return port.policy.prefer_zone; };
  if (asks_for_its_zone(service) && !std::all_of(out.ports.begin(), out.ports.end(), keeps)) {
    refuse(out, "spec.trafficDistribution " + asked +
                    " and an annotation prefer-zone: false contradict each other");
  } else if (asked == "PreferSameNode") {
    out.problems.push_back({"TrafficDistributionNotKept",
                            "trafficDistribution PreferSameNode: a data plane is on no node of its "
                            "clients; backends of its zone are preferred"});
  } else if (!asked.empty() && !asks_for_its_zone(service)) {
    out.problems.push_back(
        {"TrafficDistributionNotKept",
         "trafficDistribution " + asked + " is not known: no backend is preferred"});
  }
}

// Backends see our address: what asks for the client's is kept only where they can be told of it.
void check_traffic_policy(const ServiceObject& service, SourceService& out) {
  if (service.external_traffic_policy != "Local") return;
  const bool told = std::all_of(out.ports.begin(), out.ports.end(), [](const ServicePort& port) {
    return port.policy.proxy_protocol != ProxyProtocol::kOff;
  });
  if (told) return;
  out.problems.push_back({"SourceAddressNotPreserved",
                          "externalTrafficPolicy Local: backends see the load balancer's address; "
                          "empalme.io/proxy-protocol: v2 tells them the client's"});
}

KubeMeta kube_meta(const ServiceObject& service, SourceService& out) {
  KubeMeta meta;
  meta.ns = service.meta.ns;
  meta.name = service.meta.name;
  meta.uid = service.meta.uid;
  meta.resource_version = service.meta.resource_version;
  meta.creation_time = service.meta.creation_time;
  meta.deleting = service.meta.deleting();
  meta.type = service.type;
  meta.load_balancer_class = service.load_balancer_class;
  meta.finalizers = service.meta.finalizers;
  meta.requested = requested_addresses(service, out);
  meta.families = families(service);
  meta.family_policy = service.ip_family_policy;
  meta.ingress = service.ingress;
  meta.conditions = service.conditions;
  meta.labels = service.meta.labels;
  meta.pool = trimmed(annotation(service, kPoolAnnotation));
  meta.share_key = trimmed(annotation(service, kShareKeyAnnotation));
  check_families(meta, out);
  return meta;
}

}  // namespace

std::string kubernetes_key(const std::string& ns, const std::string& name) {
  return "kubernetes/" + ns + "/" + name;
}

SourceService from_kubernetes(const ServiceObject& service,
                              const std::vector<EndpointSliceObject>& slices,
                              const std::vector<NodeObject>& nodes, const Pods* pods) {
  SourceService out;
  out.key = kubernetes_key(service.meta.ns, service.meta.name);
  JoinedPorts joined = join(service, slices, pods);
  out.problems = std::move(joined.problems);
  out.kube = kube_meta(service, out);
  if (service.session_affinity == "ClientIP") {
    out.policy.affinity_seconds = service.affinity_timeout_s;
  }
  out.policy.prefer_zone = asks_for_its_zone(service);
  const auto ranges = source_ranges(service, out);
  out.policy.source_ranges = ranges;
  out.ports = std::move(joined.ports);
  // Policies of ports are effective ones: the Service's, and what overrides it.
  for (auto& port : out.ports) port.policy = out.policy;
  apply_annotations(service.meta, out.policy, out.ports, out.problems);
  if (!service.source_ranges.empty()) check_ranges(ranges, out);
  check_affinity(service, out);
  check_distribution(service, out);
  if (targets_nodes(service, out.problems)) use_nodes(service, nodes, out);
  apply_groups_annotation(service, out);
  check_traffic_policy(service, out);
  return out;
}

}  // namespace lb::plan
