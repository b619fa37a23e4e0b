
#include "common/model/json.hpp"
#include "controller/core/plan.hpp"

namespace lb::plan {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const Ingress& ingress) {
  Json out{{"ip", ingress.ip}, {"ipMode", ingress.ip_mode}};
  out["ports"] = Json::array();
  for (const auto& port : ingress.ports) {
    Json one{{"port", port.port}, {"protocol", port.protocol}};
    if (!port.error.empty()) one["error"] = port.error;
    out["ports"].push_back(std::move(one));
  }
  return out;
}

Json to_json(const Condition& condition, const std::string& now) {
  return {{"type", condition.type},
          {"status", condition.status},
          {"reason", condition.reason},
          {"message", condition.message},
          {"lastTransitionTime", now}};
}

Json metadata(const ServicePatch& patch) {
  Json out{{"uid", patch.uid}, {"resourceVersion", patch.resource_version}};
  // finalizers merge as a set, so only ours are ever named (strategic merge patch directives).
  if (!patch.add_finalizers.empty()) out["finalizers"] = patch.add_finalizers;
  if (!patch.remove_finalizers.empty()) {
    out["$deleteFromPrimitiveList/finalizers"] = patch.remove_finalizers;
  }
  return out;
}

Json status(const ServicePatch& patch, const std::string& now) {
  Json out = Json::object();
  if (patch.ingress) {
    Json list = Json::array();
    for (const auto& ingress : *patch.ingress) list.push_back(to_json(ingress));
    out["loadBalancer"] = {{"ingress", list.empty() ? Json(nullptr) : std::move(list)}};
  }
  Json conditions = Json::array();
  for (const auto& each : patch.conditions) conditions.push_back(to_json(each, now));
  for (const auto& type : patch.remove_conditions) {
    conditions.push_back({{"type", type}, {"$patch", "delete"}});
  }
  if (!conditions.empty()) out["conditions"] = std::move(conditions);
  return out;
}

}  // namespace

std::string encode_service_patch(const ServicePatch& patch, const std::string& now) {
  Json out{{"metadata", metadata(patch)}};
  Json changes = status(patch, now);
  if (!changes.empty()) out["status"] = std::move(changes);
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace lb::plan
