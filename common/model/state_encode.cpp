#include "common/model/json_writer.hpp"
#include "common/model/match.hpp"
#include "common/model/state_json.hpp"

namespace lb {
namespace {

using wire::JsonWriter;

void value(JsonWriter& out, const std::string& text) { out.text(text); }
void value(JsonWriter& out, const Cidr& cidr) { out.text(cidr.to_string()); }
void value(JsonWriter& out, const IpAddress& address) { out.text(address.to_string()); }

template <class T>
void list(JsonWriter& out, const char* name, const std::vector<T>& values) {
  out.name(name);
  out.begin_array();
  for (const auto& each : values) value(out, each);
  out.end_array();
}

// Each put() writes `name` when the value differs from what a reader would fill in.
template <class Number>
void put(JsonWriter& out, const char* name, Number value, Number otherwise) {
  if (value != otherwise) member(out, name, value);
}

void put(JsonWriter& out, const char* name, bool value, bool otherwise) {
  if (value == otherwise) return;
  out.name(name);
  out.flag(value);
}

void put(JsonWriter& out, const char* name, const std::string& value,
         const std::string& otherwise) {
  if (value != otherwise) member(out, name, value);
}

void put_cidrs(JsonWriter& out, const char* name, const std::vector<Cidr>& value,
               const std::vector<Cidr>& otherwise) {
  if (value != otherwise) list(out, name, value);
}

template <class T>
void put_name(JsonWriter& out, const char* name, T value, T otherwise) {
  if (value != otherwise) member(out, name, std::string(to_string(value)));
}

void put_text(JsonWriter& out, const char* name, const std::string& value) {
  if (!value.empty()) member(out, name, value);
}

// An object of what `fill` writes; nothing where it writes nothing.
template <class Fill>
void put_object(JsonWriter& out, const char* name, Fill fill) {
  const size_t before = out.mark();
  out.name(name);
  out.begin_object();
  const size_t empty = out.mark();
  fill();
  if (out.mark() == empty) return out.back_to(before);
  out.end_object();
}

void write_health(JsonWriter& out, const HealthPolicy& value, const HealthPolicy& base) {
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
}

void write_ejection(JsonWriter& out, const EjectionPolicy& value, const EjectionPolicy& base) {
  put(out, "refused", value.refused, base.refused);
  put(out, "timeouts", value.timeouts, base.timeouts);
  put(out, "seconds", value.seconds, base.seconds);
}

void put_timeouts(JsonWriter& out, const Policy& value, const Policy& base) {
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

void write_policy(JsonWriter& out, const Policy& value, const Policy& base) {
  put_name(out, "balance", value.balance, base.balance);
  put(out, "affinity_seconds", value.affinity_seconds, base.affinity_seconds);
  put_cidrs(out, "source_ranges", value.source_ranges, base.source_ranges);
  put_cidrs(out, "deny_ranges", value.deny_ranges, base.deny_ranges);
  put_timeouts(out, value, base);
  put_name(out, "when_empty", value.when_empty, base.when_empty);
  put_name(out, "proxy_protocol", value.proxy_protocol, base.proxy_protocol);
  put_cidrs(out, "accept_proxy_from", value.accept_proxy_from, base.accept_proxy_from);
  put(out, "max_connections", value.max_connections, base.max_connections);
  put(out, "max_connections_per_source", value.max_connections_per_source,
      base.max_connections_per_source);
  put(out, "max_rate_per_source", value.max_rate_per_source, base.max_rate_per_source);
  put(out, "prefer_zone", value.prefer_zone, base.prefer_zone);
  put(out, "sticky_groups", value.sticky_groups, base.sticky_groups);
  put(out, "busy_poll_us", value.busy_poll_us, base.busy_poll_us);
  put(out, "congestion", value.congestion, base.congestion);
  put_object(out, "health", [&] { write_health(out, value.health, base.health); });
  put_object(out, "ejection", [&] { write_ejection(out, value.ejection, base.ejection); });
  put_name(out, "mode", value.mode, base.mode);
}

// What a reader that starts from `base` needs to arrive at `value`.
void put_policy(JsonWriter& out, const Policy& value, const Policy& base) {
  if (value == base) return;
  put_object(out, "policy", [&] { write_policy(out, value, base); });
}

void write_backend(JsonWriter& out, const Backend& backend) {
  out.begin_object();
  member(out, "address", backend.address.to_string());
  member(out, "port", backend.port);
  put(out, "weight", backend.weight, uint16_t{1});
  put_name(out, "state", backend.state, BackendState::kReady);
  put_text(out, "name", backend.name);
  put_text(out, "node", backend.node);
  put_text(out, "zone", backend.zone);
  put_text(out, "group", backend.group);
  out.end_object();
}

void put_groups(JsonWriter& out, const std::vector<BackendGroup>& groups) {
  if (groups.empty()) return;
  out.name("groups");
  out.begin_array();
  for (const auto& group : groups) {
    out.begin_object();
    member(out, "name", group.name);
    member(out, "weight", group.weight);
    if (!group.sources.empty()) list(out, "sources", group.sources);
    out.end_object();
  }
  out.end_array();
}

void write_port(JsonWriter& out, const ServicePort& port, const Policy& service) {
  out.begin_object();
  put_text(out, "name", port.name);
  member(out, "port", port.port);
  member(out, "protocol", std::string(to_string(port.protocol)));
  out.name("backends");
  out.begin_array();
  for (const auto& backend : port.backends) write_backend(out, backend);
  out.end_array();
  put_policy(out, port.policy, service);
  wire::put_match(out, port.match);
  put_groups(out, port.groups);
  wire::put_tls(out, port.tls);
  out.end_object();
}

void write_service(JsonWriter& out, const Service& service) {
  static const Policy kDefault;
  out.begin_object();
  member(out, "key", service.key);
  list(out, "addresses", service.addresses);
  out.name("ports");
  out.begin_array();
  for (const auto& port : service.ports) write_port(out, port, service.policy);
  out.end_array();
  put_policy(out, service.policy, kDefault);
  out.end_object();
}

void member(JsonWriter& out, const char* name, const ServiceList& services) {
  out.name(name);
  out.begin_array();
  for (const auto& service : services) write_service(out, service);
  out.end_array();
}

void write_failure(JsonWriter& out, const Failure& failure) {
  out.begin_object();
  member(out, "key", failure.key);
  member(out, "address", failure.address.to_string());
  member(out, "port", failure.port);
  member(out, "protocol", std::string(to_string(failure.protocol)));
  put_text(out, "backend", failure.backend);
  wire::put_match(out, failure.match);
  member(out, "reason", failure.reason);
  member(out, "message", failure.message);
  out.end_object();
}

}  // namespace

std::string encode_state(const DesiredState& state) {
  JsonWriter out;
  out.begin_object();
  member(out, "schema", std::string(kSchema));
  member(out, "epoch", state.version.epoch);
  member(out, "generation", state.version.generation);
  member(out, "services", state.services);
  out.end_object();
  return out.take();
}

std::string encode_patch(const StatePatch& patch) {
  JsonWriter out;
  out.begin_object();
  member(out, "schema", std::string(kSchema));
  member(out, "epoch", patch.epoch);
  member(out, "base_generation", patch.base_generation);
  member(out, "generation", patch.generation);
  member(out, "changed", patch.changed);
  list(out, "removed", patch.removed);
  out.end_object();
  return out.take();
}

std::string encode_apply_result(const ApplyResult& result) {
  JsonWriter out;
  out.begin_object();
  member(out, "epoch", result.version.epoch);
  member(out, "generation", result.version.generation);
  out.name("failed");
  out.begin_array();
  for (const auto& failure : result.failed) write_failure(out, failure);
  out.end_array();
  out.end_object();
  return out.take();
}

std::string encode_error(const Error& error, const Version* held) {
  JsonWriter out;
  out.begin_object();
  member(out, "reason", error.code);
  member(out, "message", error.message);
  put_text(out, "pointer", error.pointer);
  if (held != nullptr) {
    member(out, "epoch", held->epoch);
    member(out, "generation", held->generation);
  }
  out.end_object();
  return out.take();
}

int http_status(const Error& error) {
  if (error.code == "Syntax") return 400;
  if (error.code == "Order") return 409;
  if (error.code == "OutOfMemory") return 503;
  if (error.code == "TooLarge" || error.code == "TooDeep") return 413;
  return 422;
}

}  // namespace lb
