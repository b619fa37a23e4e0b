#include "controller/dataplane_json.hpp"

#include "common/model/json.hpp"
#include "common/model/json_lookup.hpp"
#include "common/model/tls_policy.hpp"

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

void add_backend(plan::HealthView& view, const json& backend) {
  const std::string health = text_or_empty(backend, "health");
  if (text_or_empty(backend, "state") != "ready") return;
  ++view.ready;
  if (health != "down" && health != "ejected") {
    ++view.usable;
  } else if (view.reason.empty()) {
    view.reason = text_or_empty(backend, "backend") + " is " + health + " (" +
                  text_or_empty(backend, "reason") + ")";
  }
}

bool worse(const plan::HealthView& a, const plan::HealthView& b) {
  return a.ready > 0 &&
         (b.ready == 0 || uint64_t{a.usable} * b.ready < uint64_t{b.usable} * a.ready);
}

// The port that fares worst speaks for the service.
plan::HealthView health_of(const json& service) {
  plan::HealthView out;
  for (const auto& port : list_or_empty(service, "ports")) {
    plan::HealthView view;
    if (!port.is_object()) continue;
    for (const auto& backend : list_or_empty(port, "backends")) {
      if (backend.is_object()) add_backend(view, backend);
    }
    if (worse(view, out)) out = view;
  }
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
  for (const auto& each : list_or_empty(root, "services")) {
    if (each.is_object()) out.health[text_or_empty(each, "key")] = health_of(each);
  }
  for (const auto& each : list_or_empty(root, "removed")) {
    if (each.is_string()) out.removed.insert(each.get<std::string>());
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

std::map<std::string, std::string> decode_certificates(std::string_view body) {
  std::map<std::string, std::string> out;
  const json root = json::parse(body, nullptr, false);
  if (root.is_discarded() || !root.is_object()) return out;
  for (const auto& each : list_or_empty(root, "certificates")) {
    if (!each.is_object()) continue;
    const std::string name = text_or_empty(each, "name");
    if (check_certificate_name(name)) out[name] = text_or_empty(each, "fingerprint");
  }
  return out;
}

}  // namespace lb::controller
