#include "controller/dataplane_json.hpp"

#include <nlohmann/json.hpp>

#include "common/model/json_lookup.hpp"

namespace lb::controller {
namespace {

using nlohmann::json;
using wire::list_or_empty;
using wire::number_or_zero;
using wire::text_or_empty;

Failure failure_of(const json& item) {
  Failure out;
  out.key = text_or_empty(item, "key");
  if (const auto address = IpAddress::parse(text_or_empty(item, "address"))) out.address = *address;
  out.port = static_cast<uint16_t>(number_or_zero(item, "port"));
  out.protocol = text_or_empty(item, "protocol") == "udp" ? Protocol::kUdp : Protocol::kTcp;
  out.backend = text_or_empty(item, "backend");
  out.reason = text_or_empty(item, "reason");
  out.message = text_or_empty(item, "message");
  return out;
}

}  // namespace

Result<DataplaneStatus> decode_status(std::string_view body) {
  const json root = json::parse(body, nullptr, false);
  if (root.is_discarded() || !root.is_object()) return Error{"Syntax", "the status is no JSON"};
  if (text_or_empty(root, "schema") != kSchema) {
    return Error{"Schema",
                 "the data plane speaks '" + text_or_empty(root, "schema") + "', not " + kSchema};
  }
  DataplaneStatus out;
  out.instance = text_or_empty(root, "instance");
  out.rev = text_or_empty(root, "rev");
  out.version = {number_or_zero(root, "epoch"), number_or_zero(root, "generation")};
  for (const auto& each : list_or_empty(root, "features")) {
    if (each.is_string()) out.features.insert(each.get<std::string>());
  }
  for (const auto& each : list_or_empty(root, "failed")) {
    if (each.is_object()) out.failed.push_back(failure_of(each));
  }
  return out;
}

Refusal decode_refusal(std::string_view body) {
  const json root = json::parse(body, nullptr, false);
  if (root.is_discarded() || !root.is_object()) return {};
  return {text_or_empty(root, "reason"),
          text_or_empty(root, "message"),
          text_or_empty(root, "pointer"),
          {number_or_zero(root, "epoch"), number_or_zero(root, "generation")}};
}

}  // namespace lb::controller
