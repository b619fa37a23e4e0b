#include "dataplane/proxy/support.hpp"

namespace lb::proxy {
namespace {

// The field whose value asks for more than there is, or null.
const char* unsupported_field(const Policy& policy) {
  const Policy usual;
  if (policy.balance != Balance::kRoundRobin) return "policy.balance";
  if (policy.affinity_seconds != 0) return "policy.affinity_seconds";
  if (!policy.source_ranges.empty()) return "policy.source_ranges";
  if (policy.hedge_ms != 0) return "policy.hedge_ms";
  if (policy.retry_before_first_byte) return "policy.retry_before_first_byte";
  if (policy.when_empty != WhenEmpty::kReset) return "policy.when_empty";
  if (policy.proxy_protocol != ProxyProtocol::kOff) return "policy.proxy_protocol";
  if (!policy.accept_proxy_from.empty()) return "policy.accept_proxy_from";
  if (policy.max_connections != 0) return "policy.max_connections";
  if (policy.max_connections_per_source != 0) return "policy.max_connections_per_source";
  if (policy.max_rate_per_source != 0) return "policy.max_rate_per_source";
  if (policy.health.type != HealthType::kNone) return "policy.health.type";
  if (policy.ejection != usual.ejection) return "policy.ejection";
  if (policy.slow_start_s != 0) return "policy.slow_start_s";
  if (!policy.congestion.empty()) return "policy.congestion";
  if (policy.busy_poll_us != 0) return "policy.busy_poll_us";
  return policy.mode != Mode::kProxy ? "policy.mode" : nullptr;
}

}  // namespace

std::optional<std::string> unsupported(const ServicePort& port) {
  const char* field = unsupported_field(port.policy);
  if (port.protocol != Protocol::kTcp) field = "protocol";
  if (port.match != Match{}) field = "match";
  if (!port.groups.empty()) field = "groups";
  if (port.tls.mode != TlsMode::kNone) field = "tls";
  if (field == nullptr) return std::nullopt;
  return std::string(field) + " is not served by this data plane yet";
}

}  // namespace lb::proxy
