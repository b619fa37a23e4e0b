#include <nlohmann/json.hpp>

#include "common/model/state_json.hpp"

namespace lb {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& document) {
  // Names come from foreign systems; an invalid byte must never throw out of an answer.
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Writes `name` when the value differs from what a reader would fill in.
template <class T>
void put(Json& out, const char* name, const T& value, const T& otherwise) {
  if (!(value == otherwise)) out[name] = value;
}

template <class T>
void put_name(Json& out, const char* name, T value, T otherwise) {
  if (value != otherwise) out[name] = to_string(value);
}

Json texts(const std::vector<Cidr>& cidrs) {
  Json out = Json::array();
  for (const auto& cidr : cidrs) out.push_back(cidr.to_string());
  return out;
}

void put_cidrs(Json& out, const char* name, const std::vector<Cidr>& value,
               const std::vector<Cidr>& otherwise) {
  if (value != otherwise) out[name] = texts(value);
}

Json health_json(const HealthPolicy& value, const HealthPolicy& base) {
  Json out = Json::object();
  put_name(out, "type", value.type, base.type);
  put(out, "interval_ms", value.interval_ms, base.interval_ms);
  put(out, "timeout_ms", value.timeout_ms, base.timeout_ms);
  put(out, "rise", value.rise, base.rise);
  put(out, "fall", value.fall, base.fall);
  put(out, "port", value.port, base.port);
  put(out, "path", value.path, base.path);
  put(out, "host", value.host, base.host);
  put(out, "expect_status", value.expect_status, base.expect_status);
  put(out, "send", value.send, base.send);
  put(out, "expect", value.expect, base.expect);
  put(out, "panic_percent", value.panic_percent, base.panic_percent);
  return out;
}

Json ejection_json(const EjectionPolicy& value, const EjectionPolicy& base) {
  Json out = Json::object();
  put(out, "refused", value.refused, base.refused);
  put(out, "timeouts", value.timeouts, base.timeouts);
  put(out, "seconds", value.seconds, base.seconds);
  return out;
}

void put_timeouts(Json& out, const Policy& value, const Policy& base) {
  put(out, "connect_timeout_ms", value.connect_timeout_ms, base.connect_timeout_ms);
  put(out, "connect_attempts", value.connect_attempts, base.connect_attempts);
  put(out, "hedge_ms", value.hedge_ms, base.hedge_ms);
  put(out, "retry_before_first_byte", value.retry_before_first_byte, base.retry_before_first_byte);
  put(out, "idle_timeout_s", value.idle_timeout_s, base.idle_timeout_s);
  put(out, "half_close", value.half_close, base.half_close);
  put(out, "half_closed_timeout_s", value.half_closed_timeout_s, base.half_closed_timeout_s);
  put(out, "drain_s", value.drain_s, base.drain_s);
  put(out, "delete_drain_s", value.delete_drain_s, base.delete_drain_s);
  put(out, "empty_wait_ms", value.empty_wait_ms, base.empty_wait_ms);
  put(out, "udp_idle_s", value.udp_idle_s, base.udp_idle_s);
  put(out, "slow_start_s", value.slow_start_s, base.slow_start_s);
}

// What a reader that starts from `base` needs to arrive at `value`.
Json policy_json(const Policy& value, const Policy& base) {
  Json out = Json::object();
  put_name(out, "balance", value.balance, base.balance);
  put(out, "affinity_seconds", value.affinity_seconds, base.affinity_seconds);
  put_cidrs(out, "source_ranges", value.source_ranges, base.source_ranges);
  put_timeouts(out, value, base);
  put_name(out, "when_empty", value.when_empty, base.when_empty);
  put_name(out, "proxy_protocol", value.proxy_protocol, base.proxy_protocol);
  put_cidrs(out, "accept_proxy_from", value.accept_proxy_from, base.accept_proxy_from);
  put(out, "max_connections", value.max_connections, base.max_connections);
  put(out, "max_connections_per_source", value.max_connections_per_source,
      base.max_connections_per_source);
  put(out, "max_rate_per_source", value.max_rate_per_source, base.max_rate_per_source);
  put(out, "prefer_zone", value.prefer_zone, base.prefer_zone);
  put(out, "busy_poll_us", value.busy_poll_us, base.busy_poll_us);
  put(out, "congestion", value.congestion, base.congestion);
  put(out, "health", health_json(value.health, base.health), Json::object());
  put(out, "ejection", ejection_json(value.ejection, base.ejection), Json::object());
  put_name(out, "mode", value.mode, base.mode);
  return out;
}

void put_text(Json& out, const char* name, const std::string& value) {
  if (!value.empty()) out[name] = value;
}

Json backend_json(const Backend& backend) {
  Json out = {{"address", backend.address.to_string()}, {"port", backend.port}};
  put(out, "weight", backend.weight, uint16_t{1});
  put_name(out, "state", backend.state, BackendState::kReady);
  put_text(out, "name", backend.name);
  put_text(out, "node", backend.node);
  put_text(out, "zone", backend.zone);
  put_text(out, "group", backend.group);
  return out;
}

void put_match(Json& out, const Match& match) {
  if (match == Match{}) return;
  Json value = Json::object();
  if (!match.names.empty()) value["names"] = match.names;
  if (!match.sources.empty()) value["sources"] = texts(match.sources);
  out["match"] = value;
}

void put_tls(Json& out, const TlsPolicy& tls) {
  if (tls.mode == TlsMode::kNone) return;
  out["tls"] = {{"mode", to_string(tls.mode)}};
  if (!tls.certificates.empty()) out["tls"]["certificates"] = tls.certificates;
}

Json port_json(const ServicePort& port, const Policy& service) {
  Json out = Json::object();
  put_text(out, "name", port.name);
  out["port"] = port.port;
  out["protocol"] = to_string(port.protocol);
  out["backends"] = Json::array();
  for (const auto& backend : port.backends) out["backends"].push_back(backend_json(backend));
  put(out, "policy", policy_json(port.policy, service), Json::object());
  put_match(out, port.match);
  for (const auto& group : port.groups) {
    out["groups"].push_back({{"name", group.name}, {"weight", group.weight}});
  }
  put_tls(out, port.tls);
  return out;
}

Json service_json(const Service& service) {
  Json out = {{"key", service.key}, {"addresses", Json::array()}, {"ports", Json::array()}};
  for (const auto& address : service.addresses) out["addresses"].push_back(address.to_string());
  for (const auto& port : service.ports) out["ports"].push_back(port_json(port, service.policy));
  put(out, "policy", policy_json(service.policy, Policy{}), Json::object());
  return out;
}

Json services_json(const ServiceList& services) {
  Json out = Json::array();
  for (const auto& service : services) out.push_back(service_json(service));
  return out;
}

Json failure_json(const Failure& failure) {
  Json out = {{"key", failure.key},
              {"address", failure.address.to_string()},
              {"port", failure.port},
              {"protocol", to_string(failure.protocol)}};
  put_text(out, "backend", failure.backend);
  out["reason"] = failure.reason;
  out["message"] = failure.message;
  return out;
}

}  // namespace

std::string encode_state(const DesiredState& state) {
  // One service after the other: a tree of all of them takes many times the room of the text.
  std::string out = dump({{"schema", kSchema},
                          {"epoch", state.version.epoch},
                          {"generation", state.version.generation}});
  out.pop_back();
  out += ",\"services\":[";
  for (const auto& service : state.services) out += dump(service_json(service)) + ",";
  if (!state.services.empty()) out.pop_back();
  return out += "]}";
}

std::string encode_patch(const StatePatch& patch) {
  Json removed = Json::array();
  for (const auto& key : patch.removed) removed.push_back(key);
  return dump({{"schema", kSchema},
               {"epoch", patch.epoch},
               {"base_generation", patch.base_generation},
               {"generation", patch.generation},
               {"changed", services_json(patch.changed)},
               {"removed", removed}});
}

std::string encode_apply_result(const ApplyResult& result) {
  Json failed = Json::array();
  for (const auto& failure : result.failed) failed.push_back(failure_json(failure));
  return dump({{"epoch", result.version.epoch},
               {"generation", result.version.generation},
               {"failed", failed}});
}

std::string encode_error(const Error& error, const Version* held) {
  Json out = {{"reason", error.code}, {"message", error.message}};
  put_text(out, "pointer", error.pointer);
  if (held != nullptr) {
    out["epoch"] = held->epoch;
    out["generation"] = held->generation;
  }
  return dump(out);
}

int http_status(const Error& error) {
  if (error.code == "Syntax") return 400;
  if (error.code == "Order") return 409;
  if (error.code == "TooLarge" || error.code == "TooDeep") return 413;
  return 422;
}

}  // namespace lb
