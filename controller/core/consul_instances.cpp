#include "controller/core/consul_instances.hpp"

#include <algorithm>

#include "common/model/json.hpp"
#include "controller/core/fields.hpp"
#include "controller/core/label_reader.hpp"

namespace lb::plan {
namespace {

using nlohmann::json;

ConsulHealth health_of(const Fields& check) {
  const std::string status = check.text("Status");
  if (status == "passing") return ConsulHealth::kPassing;
  if (status == "warning") return ConsulHealth::kWarning;
  const std::string id = check.text("CheckID");
  const bool maintenance = id == "_node_maintenance" || id.starts_with("_service_maintenance:");
  return maintenance ? ConsulHealth::kMaintenance : ConsulHealth::kCritical;
}

uint16_t weight_of(const Fields& weights, const char* name) {
  return static_cast<uint16_t>(
      std::min<uint64_t>(weights.big_number(name).value_or(1), UINT16_MAX));
}

ConsulInstance read_instance(const Fields& root) {
  const Fields service = root.child("Service");
  const Fields node = root.child("Node");
  ConsulInstance out;
  out.id = service.text("ID", service.text("Service"));
  out.node = node.text("Node");
  if (out.id.empty()) Fields::refuse(service.at("ID"), "an id");
  out.address = service.text("Address");
  if (out.address.empty()) out.address = node.text("Address");
  out.port = service.port("Port").value_or(0);
  out.tags = service.texts("Tags");
  out.zone = service.child("Meta").text("zone", node.child("Meta").text("zone"));
  out.kind = service.text("Kind");
  out.passing_weight = weight_of(service.child("Weights"), "Passing");
  out.warning_weight = weight_of(service.child("Weights"), "Warning");
  out.modified = service.big_number("ModifyIndex").value_or(0);
  for (const auto health : root.list<ConsulHealth>("Checks", health_of)) {
    out.health = std::max(out.health, health);
  }
  return out;
}

std::string text_at(const json& item, const char* part, const char* name) {
  const auto object = item.find(part);
  if (object == item.end() || !object->is_object()) return {};
  const auto found = object->find(name);
  return found != object->end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string key_of(const json& item) {
  if (!item.is_object()) return {};
  const std::string id = text_at(item, "Service", "ID");
  return id.empty() ? id : text_at(item, "Node", "Node") + "/" + id;
}

bool may_ask(const std::vector<std::string>& tags) {
  return std::ranges::any_of(tags, [](const auto& tag) { return tag.starts_with(kEnableLabel); });
}

}  // namespace

Result<ConsulInstances> decode_consul_instances(std::string_view text) {
  const json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return Error{"InvalidObject", "not valid JSON"};
  if (!parsed.is_array()) return Error{"InvalidObject", "is no list of instances"};
  ConsulInstances out;
  for (size_t i = 0; i < parsed.size(); ++i) {
    try {
      out.instances.push_back(read_instance(Fields(parsed[i], "/" + std::to_string(i))));
    } catch (const Refused& refused) {
      out.unread.push_back({key_of(parsed[i]), refused.error});
    }
  }
  return out;
}

Result<std::set<std::string>> decode_consul_services(std::string_view text) {
  const json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  return decode_fields<std::set<std::string>>(parsed, [&](const Fields& root) {
    std::set<std::string> out;
    for (const auto& [name, tags] : parsed.items()) {
      if (may_ask(root.texts(name.c_str()))) out.insert(name);
    }
    return out;
  });
}

}  // namespace lb::plan
