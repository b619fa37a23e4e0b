#include "controller/core/source_service.hpp"

#include <algorithm>

#include "controller/core/annotations.hpp"
#include "controller/core/node_targets.hpp"
#include "controller/core/text.hpp"

namespace lb::plan {
namespace {

std::string annotation(const ServiceObject& service, const char* name) {
  const auto found = service.meta.annotations.find(name);
  return found == service.meta.annotations.end() ? std::string{} : found->second;
}

void refuse(SourceService& out, std::string message, bool blocks) {
  out.problems.push_back({"InvalidRequest", std::move(message), 0, {}, blocks});
}

std::vector<IpAddress> parse_addresses(const std::vector<std::string>& texts, SourceService& out) {
  std::vector<IpAddress> parsed;
  for (const auto& text : texts) {
    const auto address = IpAddress::parse(text);
    if (!address) {
      refuse(out, "requested address: " + address.error().message, false);
    } else if (std::any_of(parsed.begin(), parsed.end(),
                           [&](const auto& p) { return p.family() == address->family(); })) {
      refuse(out, "more than one address of a family is requested", false);
    } else {
      parsed.push_back(*address);
    }
  }
  std::sort(parsed.begin(), parsed.end());
  return parsed;
}

// The field names one family; when the annotation is there too it must name the same address,
// since nothing says which of the two is the newer wish.
std::vector<IpAddress> requested_addresses(const ServiceObject& service, SourceService& out) {
  const auto field = parse_addresses(split_list(service.load_balancer_ip), out);
  const auto listed = parse_addresses(split_list(annotation(service, kAddressesAnnotation)), out);
  if (listed.empty()) return field;
  if (!field.empty() && std::find(listed.begin(), listed.end(), field.front()) == listed.end()) {
    refuse(out, "spec.loadBalancerIP and the annotation empalme.io/addresses differ", false);
    return {};
  }
  return listed;
}

// Every IPv4 client, and not a word of IPv6: upstream's own way of saying everyone, from the days
// of one family.
bool says_everyone(const std::vector<Cidr>& ranges) {
  static const Cidr kEveryV4 = Cidr::parse("0.0.0.0/0").value();
  const bool v6 = std::any_of(ranges.begin(), ranges.end(),
                              [](const Cidr& range) { return !range.network().is_v4(); });
  return !v6 && std::find(ranges.begin(), ranges.end(), kEveryV4) != ranges.end();
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
      refuse(out, "loadBalancerSourceRanges: " + range.error().message, true);
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
    refuse(out, address.to_string() + " is requested, but spec.ipFamilies lacks its family", false);
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
                              const std::vector<NodeObject>& nodes) {
  SourceService out;
  out.key = kubernetes_key(service.meta.ns, service.meta.name);
  JoinedPorts joined = join(service, slices);
  out.problems = std::move(joined.problems);
  out.kube = kube_meta(service, out);
  if (service.session_affinity == "ClientIP") {
    out.policy.affinity_seconds = service.affinity_timeout_s;
  }
  out.policy.source_ranges = source_ranges(service, out);
  out.ports = std::move(joined.ports);
  // Policies of ports are effective ones: the Service's, and what overrides it.
  for (auto& port : out.ports) port.policy = out.policy;
  apply_annotations(service.meta.annotations, out.policy, out.ports, out.problems);
  if (targets_nodes(service, out.problems)) use_nodes(service, nodes, out);
  check_traffic_policy(service, out);
  return out;
}

}  // namespace lb::plan
