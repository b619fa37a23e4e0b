#include "dataplane/status_json.hpp"

#include <nlohmann/json.hpp>

namespace lb::dataplane {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const PortReport& port);
Json to_json(const ServiceReport& service);

Json to_json(const Failure& failure) {
  Json out{{"key", failure.key},
           {"address", failure.address.to_string()},
           {"port", failure.port},
           {"protocol", to_string(failure.protocol)}};
  if (!failure.backend.empty()) out["backend"] = failure.backend;
  out["reason"] = failure.reason;
  out["message"] = failure.message;
  return out;
}

Json to_json(const BackendReport& backend) {
  return {{"backend", backend.backend},
          {"state", to_string(backend.state)},
          {"health", backend.health},
          {"reason", backend.reason},
          {"connections", backend.connections}};
}

template <class T>
Json list(const std::vector<T>& items) {
  Json out = Json::array();
  for (const auto& item : items) out.push_back(to_json(item));
  return out;
}

Json to_json(const PortReport& port) {
  Json out{{"address", port.address.to_string()},
           {"port", port.port},
           {"protocol", to_string(port.protocol)},
           {"programmed", port.programmed},
           {"reason", port.reason},
           {"connections", port.connections}};
  if (port.panic) out["panic"] = true;
  out["backends"] = list(port.backends);
  return out;
}

Json to_json(const ServiceReport& service) {
  return {{"key", service.key}, {"ports", list(service.ports)}};
}

}  // namespace

std::string encode_status(const StatusView& view, const std::string& instance,
                          const std::vector<std::string>& features) {
  const Json out{{"schema", kSchema},           {"features", features},
                 {"instance", instance},        {"rev", view.rev},
                 {"epoch", view.version.epoch}, {"generation", view.version.generation},
                 {"failed", list(view.failed)}, {"services", list(view.services)},
                 {"removed", view.removed}};
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace lb::dataplane
