// The Kubernetes objects as far as we read them: Service, EndpointSlice, Node, Namespace.
//
// Decoding is tolerant, as the API conventions ask of clients: unknown fields are ignored, null is
// absent. A field that we read and that has the wrong type is an Error{"InvalidObject"} whose
// pointer names it, never a guess. Plain values, no clock and no I/O; any thread. Shapes follow
// core/v1 and discovery.k8s.io/v1 of Kubernetes 1.32 and later.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/result.hpp"

namespace lb::plan {

struct ObjectMeta {
  std::string ns;
  std::string name;
  std::string uid;
  std::string resource_version;
  std::string creation_time;  // RFC 3339 in UTC, as the API server writes it: sorts as text
  std::string deletion_time;  // empty: not being deleted
  std::vector<std::string> finalizers;
  std::map<std::string, std::string> annotations;
  std::map<std::string, std::string> labels;

  bool deleting() const { return !deletion_time.empty(); }
  bool operator==(const ObjectMeta&) const = default;
};

struct PortObject {
  std::string name;
  std::string protocol = "TCP";
  uint16_t port = 0;
  std::string target_port;  // a number or a name
  uint16_t node_port = 0;

  bool operator==(const PortObject&) const = default;
};

struct IngressPort {
  uint16_t port = 0;
  std::string protocol = "TCP";
  std::string error;

  bool operator==(const IngressPort&) const = default;
};

struct Ingress {
  std::string ip;
  std::string hostname;
  std::string ip_mode;
  std::vector<IngressPort> ports;

  bool operator==(const Ingress&) const = default;
};

struct Condition {
  std::string type;
  std::string status;
  std::string reason;
  std::string message;
  std::string last_transition_time;  // empty in a plan: the writer puts the present there

  bool operator==(const Condition&) const = default;
};

struct ServiceObject {
  ObjectMeta meta;
  std::string type = "ClusterIP";
  std::optional<std::string> load_balancer_class;
  std::vector<PortObject> ports;
  std::string session_affinity = "None";
  uint32_t affinity_timeout_s = 10800;
  std::string load_balancer_ip;
  std::vector<std::string> source_ranges;
  std::vector<std::string> ip_families;
  std::string ip_family_policy;
  std::string external_traffic_policy = "Cluster";
  std::string traffic_distribution;
  uint16_t health_check_node_port = 0;
  std::vector<Ingress> ingress;
  std::vector<Condition> conditions;

  bool operator==(const ServiceObject&) const = default;
};

struct SlicePort {
  std::optional<std::string> name;
  std::string protocol = "TCP";
  std::optional<uint16_t> port;

  bool operator==(const SlicePort&) const = default;
};

struct SliceEndpoint {
  std::vector<std::string> addresses;
  std::optional<bool> ready;
  std::optional<bool> serving;
  std::optional<bool> terminating;
  std::string node_name;
  std::string zone;
  std::vector<std::string> hinted_zones;  // hints.forZones
  std::string target_name;
  std::string target_kind;
  std::string target_ns;

  bool operator==(const SliceEndpoint&) const = default;
};

struct EndpointSliceObject {
  ObjectMeta meta;
  std::string address_type = "IPv4";
  std::vector<SlicePort> ports;
  std::vector<SliceEndpoint> endpoints;

  bool operator==(const EndpointSliceObject&) const = default;
};

struct NodeAddress {
  std::string type;
  std::string address;

  bool operator==(const NodeAddress&) const = default;
};

struct NodeObject {
  ObjectMeta meta;
  std::vector<NodeAddress> addresses;
  std::vector<std::string> taints;  // keys
  bool unschedulable = false;

  bool operator==(const NodeObject&) const = default;
};

struct NamespaceObject {
  ObjectMeta meta;

  bool operator==(const NamespaceObject&) const = default;
};

Result<ServiceObject> decode_service(std::string_view json);
Result<EndpointSliceObject> decode_endpoint_slice(std::string_view json);
Result<NodeObject> decode_node(std::string_view json);
Result<NamespaceObject> decode_namespace(std::string_view json);

}  // namespace lb::plan
