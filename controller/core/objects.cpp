#include "controller/core/objects.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace lb::plan {
namespace {

using nlohmann::json;

constexpr size_t kMaxName = 253;                 // RFC 1123
constexpr uint32_t kMaxAffinitySeconds = 86400;  // core/v1

// Thrown by the cursor, caught in decode(): nothing of it leaves this file.
struct Refused {
  Error error;
};

// One JSON object and where it is. A missing or null field reads as "not given".
class Fields {
 public:
  Fields(const json& object, std::string path) : object_(object), path_(std::move(path)) {
    if (!object_.is_object()) refuse(path_, "an object");
  }

  std::string text(const char* name, std::string fallback = {}) const {
    return optional_text(name).value_or(std::move(fallback));
  }

  std::optional<std::string> optional_text(const char* name) const {
    const json* found = find(name);
    if (!found) return std::nullopt;
    return text_of(*found, at(name));
  }

  // The API server lets no others pass. Keys are made of them, and a key that a data plane refuses
  // would cost every service the document it stands in.
  std::string object_name(const char* name) const {
    std::string out = text(name);
    const auto plain = [](char c) { return c > ' ' && c < '\x7f' && c != '/'; };
    if (out.size() > kMaxName || !std::ranges::all_of(out, plain)) refuse(at(name), "a name");
    return out;
  }

  std::optional<bool> flag(const char* name) const {
    const json* found = find(name);
    if (!found) return std::nullopt;
    if (!found->is_boolean()) refuse(at(name), "true or false");
    return found->get<bool>();
  }

  std::optional<uint32_t> number(const char* name, uint32_t max) const {
    const json* found = find(name);
    if (!found) return std::nullopt;
    if (!found->is_number_unsigned() || found->get<uint64_t>() > max) {
      refuse(at(name), "a whole number up to " + std::to_string(max));
    }
    return found->get<uint32_t>();
  }

  std::optional<uint16_t> port(const char* name) const {
    const auto value = number(name, UINT16_MAX);
    return value ? std::optional(static_cast<uint16_t>(*value)) : std::nullopt;
  }

  // targetPort is a number or a name.
  std::string number_or_text(const char* name) const {
    const json* found = find(name);
    if (found && found->is_number()) return std::to_string(number(name, UINT16_MAX).value_or(0));
    return text(name);
  }

  std::vector<std::string> texts(const char* name) const {
    std::vector<std::string> out;
    each(name,
         [&](const json& item, const std::string& path) { out.push_back(text_of(item, path)); });
    return out;
  }

  std::map<std::string, std::string> text_map(const char* name) const {
    std::map<std::string, std::string> out;
    const json* found = find(name);
    if (!found) return out;
    if (!found->is_object()) refuse(at(name), "an object");
    for (const auto& [key, value] : found->items()) out[key] = text_of(value, at(name) + "/" + key);
    return out;
  }

  Fields child(const char* name) const {
    static const json kEmpty = json::object();
    const json* found = find(name);
    return {found ? *found : kEmpty, at(name)};
  }

  template <class T, class Decode>
  std::vector<T> list(const char* name, Decode decode) const {
    std::vector<T> out;
    each(name, [&](const json& item, const std::string& path) {
      out.push_back(decode(Fields(item, path)));
    });
    return out;
  }

 private:
  [[noreturn]] static void refuse(const std::string& path, const std::string& wanted) {
    throw Refused{{"InvalidObject", (path.empty() ? "/" : path) + " must be " + wanted, path}};
  }

  static std::string text_of(const json& value, const std::string& path) {
    if (!value.is_string()) refuse(path, "a string");
    return value.get<std::string>();
  }

  template <class Use>
  void each(const char* name, Use use) const {
    const json* found = find(name);
    if (!found) return;
    if (!found->is_array()) refuse(at(name), "a list");
    size_t index = 0;
    for (const json& item : *found) use(item, at(name) + "/" + std::to_string(index++));
  }

  std::string at(const char* name) const { return path_ + "/" + name; }

  const json* find(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  const json& object_;
  std::string path_;
};

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
  return {endpoint.texts("addresses"),
          conditions.flag("ready"),
          conditions.flag("serving"),
          conditions.flag("terminating"),
          endpoint.text("nodeName"),
          endpoint.text("zone"),
          endpoint.child("targetRef").text("name")};
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

// Nothing here recurses with the depth of the text: the parser does not, and the shapes are fixed.
template <class T, class Read>
Result<T> decode(std::string_view text, Read read) {
  const json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return Error{"InvalidObject", "not valid JSON"};
  try {
    return read(Fields(parsed, ""));
  } catch (const Refused& refused) {
    return refused.error;
  }
}

}  // namespace

Result<ServiceObject> decode_service(std::string_view text) {
  return decode<ServiceObject>(text, read_service);
}

Result<EndpointSliceObject> decode_endpoint_slice(std::string_view text) {
  return decode<EndpointSliceObject>(text, read_slice);
}

Result<NodeObject> decode_node(std::string_view text) {
  return decode<NodeObject>(text, read_node);
}

}  // namespace lb::plan
