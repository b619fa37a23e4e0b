#include "controller/dataplane_json.hpp"

#include <nlohmann/json.hpp>

namespace lb::controller {
namespace {

using nlohmann::json;

std::string text(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

uint64_t number(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

const json& list(const json& object, const char* name) {
  static const json kEmpty = json::array();
  const auto found = object.find(name);
  return found != object.end() && found->is_array() ? *found : kEmpty;
}

Failure failure_of(const json& item) {
  Failure out;
  out.key = text(item, "key");
  if (const auto address = IpAddress::parse(text(item, "address"))) out.address = *address;
  out.port = static_cast<uint16_t>(number(item, "port"));
  out.protocol = text(item, "protocol") == "udp" ? Protocol::kUdp : Protocol::kTcp;
  out.backend = text(item, "backend");
  out.reason = text(item, "reason");
  out.message = text(item, "message");
  return out;
}

}  // namespace

Result<DataplaneStatus> decode_status(std::string_view body) {
  const json root = json::parse(body, nullptr, false);
  if (root.is_discarded() || !root.is_object()) return Error{"Syntax", "the status is no JSON"};
  if (text(root, "schema") != kSchema) {
    return Error{"Schema", "the data plane speaks '" + text(root, "schema") + "', not " + kSchema};
  }
  DataplaneStatus out;
  out.instance = text(root, "instance");
  out.rev = text(root, "rev");
  out.version = {number(root, "epoch"), number(root, "generation")};
  for (const auto& each : list(root, "features")) {
    if (each.is_string()) out.features.insert(each.get<std::string>());
  }
  for (const auto& each : list(root, "failed")) {
    if (each.is_object()) out.failed.push_back(failure_of(each));
  }
  return out;
}

Refusal decode_refusal(std::string_view body) {
  const json root = json::parse(body, nullptr, false);
  if (root.is_discarded() || !root.is_object()) return {};
  return {text(root, "reason"),
          text(root, "message"),
          text(root, "pointer"),
          {number(root, "epoch"), number(root, "generation")}};
}

}  // namespace lb::controller
