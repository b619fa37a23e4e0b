#include "controller/core/objects.hpp"

#include "controller/core/fields.hpp"
#include "controller/core/parsed_objects.hpp"

namespace lb::plan {

constexpr uint32_t kMaxAffinitySeconds = 86400;  // core/v1

ObjectMeta read_meta(const Fields& meta) {
  ObjectMeta out;
  out.ns = meta.object_name("namespace");
  out.name = meta.object_name("name");
  out.uid = meta.text("uid");
  out.resource_version = meta.text("resourceVersion");
  out.creation_time = meta.text("creationTimestamp");
  out.deletion_time = meta.text("deletionTimestamp");
  out.finalizers = meta.texts("finalizers");
  out.annotations = meta.text_map("annotations");
  out.labels = meta.text_map("labels");
  return out;
}

namespace {

PortObject read_port(const Fields& port) {
  return {port.text("name"), port.text("protocol", "TCP"), port.port("port").value_or(0),
          port.number_or_text("targetPort"), port.port("nodePort").value_or(0)};
}

IngressPort read_ingress_port(const Fields& port) {
  return {port.port("port").value_or(0), port.text("protocol", "TCP"), port.text("error")};
}

Ingress read_ingress(const Fields& ingress) {
  return {ingress.text("ip"), ingress.text("hostname"), ingress.text("ipMode"),
          ingress.list<IngressPort>("ports", read_ingress_port)};
}

Condition read_condition(const Fields& condition) {
  return {condition.text("type"), condition.text("status"), condition.text("reason"),
          condition.text("message"), condition.text("lastTransitionTime")};
}

void read_spec(const Fields& spec, ServiceObject& out) {
  out.type = spec.text("type", "ClusterIP");
  out.load_balancer_class = spec.optional_text("loadBalancerClass");
  out.ports = spec.list<PortObject>("ports", read_port);
  out.session_affinity = spec.text("sessionAffinity", "None");
  out.affinity_timeout_s = spec.child("sessionAffinityConfig")
                               .child("clientIP")
                               .number("timeoutSeconds", kMaxAffinitySeconds)
                               .value_or(out.affinity_timeout_s);
  out.load_balancer_ip = spec.text("loadBalancerIP");
  out.source_ranges = spec.texts("loadBalancerSourceRanges");
  out.ip_families = spec.texts("ipFamilies");
  out.ip_family_policy = spec.text("ipFamilyPolicy");
  out.external_traffic_policy = spec.text("externalTrafficPolicy", "Cluster");
  out.traffic_distribution = spec.text("trafficDistribution");
  out.health_check_node_port = spec.port("healthCheckNodePort").value_or(0);
}

ServiceObject read_service(const Fields& root) {
  ServiceObject out;
  out.meta = read_meta(root.child("metadata"));
  read_spec(root.child("spec"), out);
  const Fields status = root.child("status");
  out.ingress = status.child("loadBalancer").list<Ingress>("ingress", read_ingress);
  out.conditions = status.list<Condition>("conditions", read_condition);
  return out;
}

SlicePort read_slice_port(const Fields& port) {
  return {port.optional_text("name"), port.text("protocol", "TCP"), port.port("port")};
}

SliceEndpoint read_endpoint(const Fields& endpoint) {
  const Fields conditions = endpoint.child("conditions");
  const Fields target = endpoint.child("targetRef");
  const auto hint = [](const Fields& zone) { return zone.text("name"); };
  return {endpoint.texts("addresses"),
          conditions.flag("ready"),
          conditions.flag("serving"),
          conditions.flag("terminating"),
          endpoint.text("nodeName"),
          endpoint.text("zone"),
          endpoint.child("hints").list<std::string>("forZones", hint),
          target.text("name"),
          target.text("kind"),
          target.text("namespace")};
}

EndpointSliceObject read_slice(const Fields& root) {
  return {read_meta(root.child("metadata")), root.text("addressType", "IPv4"),
          root.list<SlicePort>("ports", read_slice_port),
          root.list<SliceEndpoint>("endpoints", read_endpoint)};
}

NodeObject read_node(const Fields& root) {
  const Fields spec = root.child("spec");
  const auto address = [](const Fields& f) {
    return NodeAddress{f.text("type"), f.text("address")};
  };
  const auto taint = [](const Fields& f) { return f.text("key"); };
  return {read_meta(root.child("metadata")),
          root.child("status").list<NodeAddress>("addresses", address),
          spec.list<std::string>("taints", taint), spec.flag("unschedulable").value_or(false)};
}

NamespaceObject read_namespace(const Fields& root) { return {read_meta(root.child("metadata"))}; }

}  // namespace

Result<ServiceObject> decode_service(std::string_view text) {
  return decode_fields<ServiceObject>(text, read_service);
}
Result<ServiceObject> service_from(const nlohmann::json& parsed) {
  return decode_fields<ServiceObject>(parsed, read_service);
}

Result<EndpointSliceObject> decode_endpoint_slice(std::string_view text) {
  return decode_fields<EndpointSliceObject>(text, read_slice);
}
Result<EndpointSliceObject> endpoint_slice_from(const nlohmann::json& parsed) {
  return decode_fields<EndpointSliceObject>(parsed, read_slice);
}

Result<NodeObject> decode_node(std::string_view text) {
  return decode_fields<NodeObject>(text, read_node);
}
Result<NodeObject> node_from(const nlohmann::json& parsed) {
  return decode_fields<NodeObject>(parsed, read_node);
}

Result<NamespaceObject> decode_namespace(std::string_view text) {
  return decode_fields<NamespaceObject>(text, read_namespace);
}
Result<NamespaceObject> namespace_from(const nlohmann::json& parsed) {
  return decode_fields<NamespaceObject>(parsed, read_namespace);
}

}  // namespace lb::plan
