#include "common/model/policy_reader.hpp"

#include <algorithm>
#include <string>

#include "common/model/json.hpp"

namespace lb::wire {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxMilliseconds = 3'600'000;
constexpr uint64_t kMaxSeconds = 30 * 86'400;
constexpr uint64_t kMaxCount = 0xffffffff;
constexpr uint64_t kMaxPort = 65'535;

void read_health(ObjectReader& parent, HealthPolicy& out) {
  const auto* value = parent.find("health");
  if (value == nullptr) return;
  ObjectReader reader(*value, parent.at("health"), parent.lenient());
  reader.choice("type", out.type,
                {HealthType::kNone, HealthType::kTcp, HealthType::kHttp, HealthType::kTls,
                 HealthType::kSendExpect});
  reader.number("interval_ms", out.interval_ms, 10, kMaxMilliseconds);
  reader.number("timeout_ms", out.timeout_ms, 1, kMaxMilliseconds);
  reader.number("rise", out.rise, 1, 100);
  reader.number("fall", out.fall, 1, 100);
  reader.number("port", out.port, 0, kMaxPort);
  reader.text("path", out.path);
  reader.text("host", out.host);
  reader.number("expect_status", out.expect_status, 100, 599);
  reader.text("send", out.send);
  reader.text("expect", out.expect);
  reader.number("panic_percent", out.panic_percent, 0, 100);
  reader.finish();
}

void read_ejection(ObjectReader& parent, EjectionPolicy& out) {
  const auto* value = parent.find("ejection");
  if (value == nullptr) return;
  ObjectReader reader(*value, parent.at("ejection"), parent.lenient());
  reader.number("refused", out.refused, 0, 1'000'000);
  reader.number("timeouts", out.timeouts, 0, 1'000'000);
  reader.number("seconds", out.seconds, 0, kMaxSeconds);
  reader.finish();
}

void read_timeouts(ObjectReader& reader, Policy& out) {
  reader.number("connect_timeout_ms", out.connect_timeout_ms, 1, kMaxMilliseconds);
  reader.number("connect_attempts", out.connect_attempts, 1, 100);
  reader.number("hedge_ms", out.hedge_ms, 0, kMaxMilliseconds);
  reader.flag("retry_before_first_byte", out.retry_before_first_byte);
  reader.number("idle_timeout_s", out.idle_timeout_s, 0, kMaxSeconds);
  reader.flag("half_close", out.half_close);
  reader.number("half_closed_timeout_s", out.half_closed_timeout_s, 0, kMaxSeconds);
  reader.number("drain_s", out.drain_s, 0, kMaxSeconds);
  reader.number("delete_drain_s", out.delete_drain_s, 0, kMaxSeconds);
  reader.number("empty_wait_ms", out.empty_wait_ms, 0, kMaxMilliseconds);
  reader.number("udp_idle_s", out.udp_idle_s, 1, kMaxSeconds);
  reader.number("slow_start_s", out.slow_start_s, 0, kMaxSeconds);
}

// Which names there are, only the kernel of the data plane knows.
void read_congestion(ObjectReader& reader, std::string& out) {
  reader.text("congestion", out, 15);  // TCP_CA_NAME_MAX less its NUL
  const bool sound = std::all_of(out.begin(), out.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
  if (!sound) refuse(reader.at("congestion"), "takes letters, digits, '-', '_' and '.'");
}

void read_limits(ObjectReader& reader, Policy& out) {
  reader.number("max_connections", out.max_connections, 0, kMaxCount);
  reader.number("max_connections_per_source", out.max_connections_per_source, 0, kMaxCount);
  reader.number("max_rate_per_source", out.max_rate_per_source, 0, kMaxCount);
  reader.number("busy_poll_us", out.busy_poll_us, 0, 10'000);
  read_congestion(reader, out.congestion);
}

}  // namespace

void read_cidrs(ObjectReader& reader, const char* name, std::vector<Cidr>& out) {
  if (reader.find(name) != nullptr) out.clear();
  reader.list(name, [&](const Json& value, const std::string& pointer) {
    const auto cidr = Cidr::parse(as_text(value, pointer));
    if (!cidr) refuse(pointer, cidr.error().message);
    out.push_back(*cidr);
  });
}

void read_policy_fields(ObjectReader& reader, Policy& out) {
  reader.choice(
      "balance", out.balance,
      {Balance::kRoundRobin, Balance::kLeastConnections, Balance::kRandomTwo, Balance::kMaglev});
  reader.number("affinity_seconds", out.affinity_seconds, 0, kMaxSeconds);
  read_cidrs(reader, "source_ranges", out.source_ranges);
  read_cidrs(reader, "deny_ranges", out.deny_ranges);
  read_timeouts(reader, out);
  reader.choice("when_empty", out.when_empty, {WhenEmpty::kReset, WhenEmpty::kWait});
  reader.choice("proxy_protocol", out.proxy_protocol,
                {ProxyProtocol::kOff, ProxyProtocol::kV1, ProxyProtocol::kV2});
  read_cidrs(reader, "accept_proxy_from", out.accept_proxy_from);
  reader.flag("prefer_zone", out.prefer_zone);
  reader.flag("sticky_groups", out.sticky_groups);
  read_limits(reader, out);
  read_health(reader, out.health);
  read_ejection(reader, out.ejection);
  reader.choice("mode", out.mode, {Mode::kProxy, Mode::kKernel});
  reader.finish();
}

void read_policy(ObjectReader& parent, Policy& out) {
  const auto* value = parent.find("policy");
  if (value == nullptr) return;
  ObjectReader reader(*value, parent.at("policy"), parent.lenient());
  read_policy_fields(reader, out);
}

}  // namespace lb::wire
