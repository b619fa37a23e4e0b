#include "controller/core/pods.hpp"

#include "controller/core/fields.hpp"
#include "controller/core/parsed_objects.hpp"

namespace lb::plan {
namespace {

PodObject read_pod(const Fields& root) {
  const ObjectMeta meta = read_meta(root.child("metadata"));
  const Fields status = root.child("status");
  PodObject out{meta.ns, meta.name, {}};
  const std::string phase = status.text("phase");
  if (phase == "Succeeded" || phase == "Failed") return out;
  const auto ip = [](const Fields& each) { return each.text("ip"); };
  for (const auto& text : status.list<std::string>("podIPs", ip)) {
    if (const auto address = IpAddress::parse(text)) out.addresses.insert(*address);
  }
  return out;
}

}  // namespace

std::string pod_key(const std::string& ns, const std::string& name) { return ns + "/" + name; }

std::string pod_of(const EndpointSliceObject& slice, const SliceEndpoint& endpoint) {
  if (endpoint.target_kind != "Pod" || endpoint.target_name.empty()) return {};
  if (!endpoint.target_ns.empty() && endpoint.target_ns != slice.meta.ns) return {};
  return pod_key(slice.meta.ns, endpoint.target_name);
}

bool is_of_pod(const Pods& pods, const EndpointSliceObject& slice, const SliceEndpoint& endpoint,
               const IpAddress& address) {
  const auto pod = pods.find(pod_of(slice, endpoint));
  return pod != pods.end() && pod->second.contains(address);
}

Result<PodObject> decode_pod(std::string_view json) {
  return decode_fields<PodObject>(json, read_pod);
}
Result<PodObject> pod_from(const nlohmann::json& parsed) {
  return decode_fields<PodObject>(parsed, read_pod);
}

}  // namespace lb::plan
