#include "common/model/support.hpp"

namespace lb {
namespace {

struct Rule {
  const char* feature;
  bool (*asks)(const Policy&);  // for more than there is
};

// What is not served yet. A field that is not here is served, and listed below.
constexpr Rule kUnsupported[] = {
    {"policy.mode", [](const Policy& p) { return p.mode != Mode::kProxy; }},
};

constexpr Rule kTcpOnly[] = {
    {"policy.hedge_ms", [](const Policy& p) { return p.hedge_ms != 0; }},
    {"policy.retry_before_first_byte", [](const Policy& p) { return p.retry_before_first_byte; }},
    {"policy.when_empty=wait", [](const Policy& p) { return p.when_empty == WhenEmpty::kWait; }},
    {"policy.proxy_protocol=v1",
     [](const Policy& p) { return p.proxy_protocol == ProxyProtocol::kV1; }},
    {"policy.accept_proxy_from", [](const Policy& p) { return !p.accept_proxy_from.empty(); }},
};

// The field whose value asks for more than there is, or null.
const char* unsupported_field(const Policy& policy) {
  for (const Rule& rule : kUnsupported) {
    if (rule.asks(policy)) return rule.feature;
  }
  return nullptr;
}

// What is about connections, and not served for datagrams.
const char* unsupported_for_udp(const Policy& policy) {
  for (const Rule& rule : kTcpOnly) {
    if (rule.asks(policy)) return rule.feature;
  }
  return nullptr;
}

}  // namespace

std::optional<std::string> unsupported(const ServicePort& port) {
  const char* field = unsupported_field(port.policy);
  if (port.protocol == Protocol::kUdp && field == nullptr) {
    field = unsupported_for_udp(port.policy);
    if (field != nullptr) return std::string(field) + " is not served for udp yet";
  }
  if (port.protocol == Protocol::kUdp && !port.match.empty()) {
    return "match is not served for udp yet";
  }
  if (port.protocol == Protocol::kUdp && port.tls.mode != TlsMode::kNone) {
    return "tls is not served for udp";
  }
  if (field == nullptr) return std::nullopt;
  return std::string(field) + " is not served by this data plane yet";
}

std::vector<std::string> served_features() {
  return {"policy.accept_proxy_from",
          "policy.affinity_seconds",
          "policy.balance=least_connections",
          "policy.balance=maglev",
          "policy.balance=random_two",
          "policy.balance=round_robin",
          "policy.busy_poll_us",
          "policy.congestion",
          "policy.connect_attempts",
          "policy.connect_timeout_ms",
          "policy.delete_drain_s",
          "policy.deny_ranges",
          "policy.drain_s",
          "policy.ejection",
          "policy.empty_wait_ms",
          "policy.half_close",
          "policy.half_closed_timeout_s",
          "policy.health.panic_percent",
          "policy.health.type=http",
          "policy.health.type=none",
          "policy.health.type=send_expect",
          "policy.health.type=tcp",
          "policy.health.type=tls",
          "policy.hedge_ms",
          "policy.idle_timeout_s",
          "policy.max_connections",
          "policy.max_connections_per_source",
          "policy.max_rate_per_source",
          "policy.mode=proxy",
          "policy.prefer_zone",
          "policy.proxy_protocol=off",
          "policy.proxy_protocol=v1",
          "policy.proxy_protocol=v2",
          "policy.retry_before_first_byte",
          "policy.slow_start_s",
          "policy.source_ranges",
          "policy.sticky_groups",
          "policy.udp_idle_s",
          "policy.when_empty=reset",
          "policy.when_empty=wait",
          "ports.groups",
          "ports.match",
          "ports.tls.alpn",
          "ports.tls.backend",
          "ports.tls.client_authorities",
          "ports.tls.mode=passthrough",
          "ports.tls.mode=terminate",
          "protocol=tcp",
          "protocol=udp"};
}

}  // namespace lb
