#include <algorithm>
#include <set>
#include <tuple>

#include "common/model/json.hpp"
#include "common/model/json_reader.hpp"
#include "common/model/state_json.hpp"
#include "common/model/state_reader.hpp"

namespace lb {
namespace {

using wire::child;
using wire::ObjectReader;
using wire::refuse;
using Json = nlohmann::json;

constexpr uint64_t kMaxVersion = (uint64_t{1} << 53) - 1;
constexpr uint64_t kMaxMilliseconds = 3'600'000;
constexpr uint64_t kMaxSeconds = 30 * 86'400;
constexpr uint64_t kMaxCount = 0xffffffff;
constexpr uint64_t kMaxPort = 65'535;
constexpr size_t kMaxKey = 512;

IpAddress read_address(const Json& value, const std::string& pointer) {
  const auto address = IpAddress::parse(lb::wire::as_text(value, pointer));
  if (!address) refuse(pointer, address.error().message);
  return *address;
}

void read_cidrs(ObjectReader& reader, const char* name, std::vector<Cidr>& out) {
  if (reader.find(name) != nullptr) out.clear();
  reader.list(name, [&](const Json& value, const std::string& pointer) {
    const auto cidr = Cidr::parse(lb::wire::as_text(value, pointer));
    if (!cidr) refuse(pointer, cidr.error().message);
    out.push_back(*cidr);
  });
}

void read_strings(ObjectReader& reader, const char* name, std::vector<std::string>& out) {
  reader.list(name, [&](const Json& value, const std::string& pointer) {
    out.push_back(lb::wire::as_text(value, pointer));
  });
}

void read_health(ObjectReader& parent, HealthPolicy& out) {
  const auto* value = parent.find("health");
  if (value == nullptr) return;
  ObjectReader reader(*value, parent.at("health"));
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
  ObjectReader reader(*value, parent.at("ejection"));
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

// `out` comes in with what the policy overrides: the defaults, or the service's policy.
void read_policy_fields(ObjectReader& reader, Policy& out) {
  reader.choice(
      "balance", out.balance,
      {Balance::kRoundRobin, Balance::kLeastConnections, Balance::kRandomTwo, Balance::kMaglev});
  reader.number("affinity_seconds", out.affinity_seconds, 0, kMaxSeconds);
  read_cidrs(reader, "source_ranges", out.source_ranges);
  read_timeouts(reader, out);
  reader.choice("when_empty", out.when_empty, {WhenEmpty::kReset, WhenEmpty::kWait});
  reader.choice("proxy_protocol", out.proxy_protocol,
                {ProxyProtocol::kOff, ProxyProtocol::kV1, ProxyProtocol::kV2});
  read_cidrs(reader, "accept_proxy_from", out.accept_proxy_from);
  reader.flag("prefer_zone", out.prefer_zone);
  read_limits(reader, out);
  read_health(reader, out.health);
  read_ejection(reader, out.ejection);
  reader.choice("mode", out.mode, {Mode::kProxy, Mode::kKernel});
  reader.finish();
}

void read_policy(ObjectReader& parent, Policy& out) {
  const auto* value = parent.find("policy");
  if (value == nullptr) return;
  ObjectReader reader(*value, parent.at("policy"));
  read_policy_fields(reader, out);
}

Backend read_backend(const Json& value, const std::string& pointer) {
  ObjectReader reader(value, pointer);
  Backend out;
  out.address = read_address(reader.require("address"), reader.at("address"));
  reader.require("port");
  reader.number("port", out.port, 1, kMaxPort);
  reader.number("weight", out.weight, 0, kMaxPort);
  reader.choice("state", out.state,
                {BackendState::kReady, BackendState::kDraining, BackendState::kNotReady});
  reader.text("name", out.name);
  reader.text("node", out.node);
  reader.text("zone", out.zone);
  reader.text("group", out.group);
  reader.finish();
  return out;
}

void read_match(ObjectReader& parent, Match& out) {
  const auto* value = parent.find("match");
  if (value == nullptr) return;
  ObjectReader reader(*value, parent.at("match"));
  read_strings(reader, "names", out.names);
  read_cidrs(reader, "sources", out.sources);
  reader.finish();
}

void read_tls(ObjectReader& parent, TlsPolicy& out) {
  const auto* value = parent.find("tls");
  if (value == nullptr) return;
  ObjectReader reader(*value, parent.at("tls"));
  reader.require("mode");
  reader.choice("mode", out.mode, {TlsMode::kTerminate, TlsMode::kPassthrough});
  read_strings(reader, "certificates", out.certificates);
  reader.finish();
}

BackendGroup read_group(const Json& value, const std::string& pointer) {
  ObjectReader reader(value, pointer);
  BackendGroup out;
  reader.require("name");
  reader.text("name", out.name);
  reader.number("weight", out.weight, 0, kMaxPort);
  reader.finish();
  return out;
}

// Refuses a value of `list` for which `key` gives what an earlier one gave.
template <class List, class Key>
void refuse_twice(const List& list, Key key, const std::string& pointer, const char* what) {
  std::set<std::decay_t<decltype(key(list.front()))>> seen;
  for (size_t i = 0; i < list.size(); ++i) {
    if (!seen.insert(key(list[i])).second) {
      refuse(child(pointer, std::to_string(i)), std::string("the same ") + what + " twice");
    }
  }
}

ServicePort read_port(const Json& value, const std::string& pointer, const Policy& service) {
  ObjectReader reader(value, pointer);
  ServicePort out;
  out.policy = service;
  reader.text("name", out.name);
  reader.require("port");
  reader.number("port", out.port, 1, kMaxPort);
  reader.choice("protocol", out.protocol, {Protocol::kTcp, Protocol::kUdp});
  reader.list("backends", [&](const Json& each, const std::string& where) {
    out.backends.push_back(read_backend(each, where));
  });
  refuse_twice(
      out.backends, [](const Backend& b) { return b.endpoint(); }, reader.at("backends"),
      "(address, port)");
  read_policy(reader, out.policy);
  read_match(reader, out.match);
  reader.list("groups", [&](const Json& each, const std::string& where) {
    out.groups.push_back(read_group(each, where));
  });
  read_tls(reader, out.tls);
  reader.finish();
  return out;
}

std::string read_key(const Json& value, const std::string& pointer) {
  std::string key = lb::wire::as_text(value, pointer);
  if (key.empty() || key.size() > kMaxKey) refuse(pointer, "must have 1 to 512 bytes");
  for (const char c : key) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      refuse(pointer, "has a control character");
  }
  return key;
}

}  // namespace

namespace wire {

Service read_service(const Json& value, const std::string& pointer) {
  ObjectReader reader(value, pointer);
  Service out;
  out.key = read_key(reader.require("key"), reader.at("key"));
  reader.list("addresses", [&](const Json& each, const std::string& where) {
    out.addresses.push_back(read_address(each, where));
  });
  refuse_twice(
      out.addresses, [](const IpAddress& a) { return a; }, reader.at("addresses"), "address");
  read_policy(reader, out.policy);
  reader.list("ports", [&](const Json& each, const std::string& where) {
    out.ports.push_back(read_port(each, where, out.policy));
  });
  reader.finish();
  for (auto& port : out.ports) std::sort(port.match.names.begin(), port.match.names.end());
  refuse_twice(
      out.ports, [](const ServicePort& p) { return std::tuple(p.port, p.protocol, p.match); },
      reader.at("ports"), "(port, protocol, match)");
  return out;
}

void read_schema(ObjectReader& reader) {
  const std::string given = lb::wire::as_text(reader.require("schema"), reader.at("schema"));
  if (given != kSchema) {
    refuse(reader.at("schema"), "is '" + given + "', this program speaks '" + kSchema + "'");
  }
}

void read_version(ObjectReader& reader, const char* name, uint64_t& out) {
  reader.require(name);
  reader.number(name, out, 0, kMaxVersion);
}

}  // namespace wire

namespace {

using wire::read_schema;
using wire::read_service;
using wire::read_version;

ServiceList read_services(ObjectReader& reader, const char* name) {
  ServiceList out;
  reader.list(name, [&](const Json& each, const std::string& where) {
    out.push_back(read_service(each, where));
  });
  refuse_twice(
      out, [](const Service& s) { return s.key; }, reader.at(name), "key");
  return out;
}

// The one place where a refusal turns from an exception into a value.
template <class T, class Read>
Result<T> decode(std::string_view text, Read read) {
  try {
    const Json document = lb::wire::parse_strict(text, kMaxStateBytes, kMaxDepth);
    return read(document);
  } catch (const lb::wire::Refused& refused) {
    return refused.error;
  }
}

// nlohmann's own get<uint64_t>() takes 1e99 too, which no integer can hold.
uint64_t whole_number(const Json& value, const char* name, uint64_t most) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > most) {
    refuse(child("", name), "must be a whole number up to " + std::to_string(most));
  }
  return value.get<uint64_t>();
}

Failure read_failure(const Json& value) {
  Failure out;
  out.key = value.value("key", "");
  if (const auto address = IpAddress::parse(value.value("address", ""))) out.address = *address;
  if (value.contains("port")) {
    out.port = static_cast<uint16_t>(whole_number(value.at("port"), "port", UINT16_MAX));
  }
  out.protocol = value.value("protocol", "tcp") == "udp" ? Protocol::kUdp : Protocol::kTcp;
  out.backend = value.value("backend", "");
  out.reason = value.value("reason", "");
  out.message = value.value("message", "");
  return out;
}

}  // namespace

Result<DesiredState> decode_state(std::string_view text) {
  return decode<DesiredState>(text, [](const Json& document) {
    ObjectReader reader(document, "");
    DesiredState out;
    read_schema(reader);
    read_version(reader, "epoch", out.version.epoch);
    read_version(reader, "generation", out.version.generation);
    out.services = read_services(reader, "services");
    reader.finish();
    normalise(out);
    return out;
  });
}

Result<Policy> decode_policy(std::string_view text, Policy base) {
  return decode<Policy>(text, [&](const Json& document) {
    ObjectReader reader(document, "");
    read_policy_fields(reader, base);
    return base;
  });
}

Result<StatePatch> decode_patch(std::string_view text) {
  return decode<StatePatch>(text, [](const Json& document) {
    ObjectReader reader(document, "");
    StatePatch out;
    read_schema(reader);
    read_version(reader, "epoch", out.epoch);
    read_version(reader, "base_generation", out.base_generation);
    read_version(reader, "generation", out.generation);
    out.changed = read_services(reader, "changed");
    read_strings(reader, "removed", out.removed);
    refuse_twice(
        out.removed, [](const std::string& key) { return key; }, "/removed", "key");
    reader.finish();
    const std::set<std::string> removed(out.removed.begin(), out.removed.end());
    for (size_t i = 0; i < out.changed.size(); ++i) {
      if (removed.contains(out.changed[i].key)) {
        refuse(child("/changed", std::to_string(i)), "the key is in 'removed' as well");
      }
      normalise(out.changed.edit(i));
    }
    return out;
  });
}

Result<ApplyResult> decode_apply_result(std::string_view text) {
  try {
    const Json document = lb::wire::parse_strict(text, kMaxStateBytes, kMaxDepth);
    ApplyResult out;
    out.version = {whole_number(document.at("epoch"), "epoch", UINT64_MAX),
                   whole_number(document.at("generation"), "generation", UINT64_MAX)};
    for (const auto& each : document.value("failed", Json::array())) {
      out.failed.push_back(read_failure(each));
    }
    return out;
  } catch (const lb::wire::Refused& refused) {
    return refused.error;
  } catch (const Json::exception&) {
    return Error{"Schema", "not an answer to PUT or PATCH /v1/state"};
  }
}

}  // namespace lb
