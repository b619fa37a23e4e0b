#include "controller/core/node_targets.hpp"

#include <algorithm>
#include <iterator>
#include <map>

#include "controller/core/annotations.hpp"
#include "controller/core/text.hpp"

namespace lb::plan {
namespace {

// What the autoscalers put on a node that they are about to delete.
constexpr const char* kLeavingTaints[] = {"ToBeDeletedByClusterAutoscaler",
                                          "karpenter.sh/disrupted"};

// The value "false" counts as excluded no more than a missing label does.
bool excluded(const NodeObject& node) {
  const auto label = node.meta.labels.find(kExcludeLabel);
  return label != node.meta.labels.end() && label->second != "false";
}

bool leaving(const NodeObject& node) {
  return node.meta.deleting() ||
         std::find_first_of(node.taints.begin(), node.taints.end(), std::begin(kLeavingTaints),
                            std::end(kLeavingTaints)) != node.taints.end();
}

std::vector<const NodeObject*> usable(const std::vector<NodeObject>& nodes, SourceService& out) {
  std::vector<const NodeObject*> staying, wanted;
  for (const NodeObject& node : nodes) {
    if (!leaving(node)) staying.push_back(&node);
  }
  for (const NodeObject* node : staying) {
    if (!excluded(*node)) wanted.push_back(node);
  }
  if (!wanted.empty() || staying.empty()) return wanted;
  out.problems.push_back({"EveryNodeExcluded", std::string("every node carries the label ") +
                                                   kExcludeLabel +
                                                   ": all of them are used instead of none"});
  return staying;
}

// How many ready pods of the port each node has.
std::map<std::string, uint16_t> ready_pods(const ServicePort& port) {
  std::map<std::string, uint16_t> out;
  for (const Backend& pod : port.backends) {
    if (pod.state == BackendState::kReady && !pod.node.empty()) ++out[pod.node];
  }
  return out;
}

std::vector<Backend> backends_at(const NodeObject& node, uint16_t port) {
  std::vector<Backend> out;
  for (const NodeAddress& each : node.addresses) {
    const auto address = IpAddress::parse(each.address);
    if (each.type != "InternalIP" || !address) continue;
    if (refuse_address(*address, AddressUse::kBackend, true)) continue;
    Backend backend;
    backend.address = *address;
    backend.port = port;
    backend.name = backend.node = node.meta.name;
    const auto zone = node.meta.labels.find("topology.kubernetes.io/zone");
    if (zone != node.meta.labels.end()) backend.zone = zone->second;
    out.push_back(std::move(backend));
  }
  return out;
}

// kube-proxy says there whether the node has a ready pod: sooner than any list of ours.
void ask_kube_proxy(const ServiceObject& service, Policy& policy) {
  if (service.health_check_node_port == 0 || policy.health.type != HealthType::kNone) return;
  policy.health.type = HealthType::kHttp;
  policy.health.port = service.health_check_node_port;
  policy.health.path = "/healthz";
}

class Targeter {
 public:
  Targeter(const ServiceObject& service, const std::vector<const NodeObject*>& nodes,
           SourceService& out)
      : service_(service), nodes_(nodes), out_(out) {}

  void target(ServicePort& port) const {
    const auto pods = ready_pods(port);
    port.backends.clear();
    const uint16_t number = node_port(port);
    if (number == 0) {
      out_.problems.push_back({"NodePortMissing", "has no node port, and nodes are its targets",
                               port.port, port.protocol == Protocol::kUdp ? "UDP" : "TCP"});
      return;
    }
    const bool local = service_.external_traffic_policy == "Local";
    for (const NodeObject* node : nodes_) {
      const auto here = pods.find(node->meta.name);
      if (local && here == pods.end()) continue;
      for (Backend& backend : backends_at(*node, number)) {
        // As many connections for each pod, not for each node.
        if (local) backend.weight = here->second;
        port.backends.push_back(std::move(backend));
      }
    }
    if (local) ask_kube_proxy(service_, port.policy);
  }

 private:
  uint16_t node_port(const ServicePort& port) const {
    for (const PortObject& each : service_.ports) {
      const bool udp = each.protocol == "UDP";
      if (each.port == port.port && udp == (port.protocol == Protocol::kUdp)) return each.node_port;
    }
    return 0;
  }

  const ServiceObject& service_;
  const std::vector<const NodeObject*>& nodes_;
  SourceService& out_;
};

}  // namespace

bool targets_nodes(const ServiceObject& service, std::vector<Problem>& problems) {
  const auto found = service.meta.annotations.find(kTargetsAnnotation);
  if (found == service.meta.annotations.end()) return false;
  const std::string value = trimmed(found->second);
  if (value == "nodes") return true;
  if (value != "pods") {
    problems.push_back({"InvalidAnnotation", std::string(kTargetsAnnotation) +
                                                 ": takes pods or nodes, not '" + value + "'"});
  }
  return false;
}

void use_nodes(const ServiceObject& service, const std::vector<NodeObject>& nodes,
               SourceService& out) {
  const auto targets = usable(nodes, out);
  const Targeter targeter(service, targets, out);
  for (ServicePort& port : out.ports) targeter.target(port);
}

}  // namespace lb::plan
