#include "dataplane/status_json.hpp"

#include "common/model/json_writer.hpp"
#include "common/model/match.hpp"

namespace lb::dataplane {
namespace {

using wire::JsonWriter;

void write(JsonWriter& out, const PortReport& port);
void write(JsonWriter& out, const ServiceReport& service);

void write(JsonWriter& out, const std::string& text) { out.text(text); }

void write(JsonWriter& out, const Failure& failure) {
  out.begin_object();
  member(out, "key", failure.key);
  member(out, "address", failure.address.to_string());
  member(out, "port", failure.port);
  member(out, "protocol", std::string(to_string(failure.protocol)));
  if (!failure.backend.empty()) member(out, "backend", failure.backend);
  wire::put_match(out, failure.match);
  member(out, "reason", failure.reason);
  member(out, "message", failure.message);
  out.end_object();
}

void write(JsonWriter& out, const BackendReport& backend) {
  out.begin_object();
  member(out, "backend", backend.backend);
  member(out, "state", std::string(to_string(backend.state)));
  member(out, "health", backend.health);
  member(out, "reason", backend.reason);
  member(out, "connections", backend.connections);
  out.end_object();
}

template <class T>
void list(JsonWriter& out, const char* name, const std::vector<T>& items) {
  out.name(name);
  out.begin_array();
  for (const auto& item : items) write(out, item);
  out.end_array();
}

void write(JsonWriter& out, const PortReport& port) {
  out.begin_object();
  member(out, "address", port.address.to_string());
  member(out, "port", port.port);
  member(out, "protocol", std::string(to_string(port.protocol)));
  wire::put_match(out, port.match);
  out.name("programmed");
  out.flag(port.programmed);
  member(out, "reason", port.reason);
  member(out, "connections", port.connections);
  if (port.panic) {
    out.name("panic");
    out.flag(true);
  }
  list(out, "backends", port.backends);
  out.end_object();
}

void write(JsonWriter& out, const ServiceReport& service) {
  out.begin_object();
  member(out, "key", service.key);
  list(out, "ports", service.ports);
  out.end_object();
}

}  // namespace

std::string encode_status(const StatusView& view, const std::string& instance,
                          const std::vector<std::string>& features) {
  JsonWriter out;
  out.begin_object();
  member(out, "schema", std::string(kSchema));
  list(out, "features", features);
  member(out, "instance", instance);
  member(out, "rev", view.rev);
  member(out, "epoch", view.version.epoch);
  member(out, "generation", view.version.generation);
  list(out, "failed", view.failed);
  list(out, "services", view.services);
  list(out, "removed", view.removed);
  out.end_object();
  return out.take();
}

}  // namespace lb::dataplane
