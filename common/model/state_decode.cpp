#include <algorithm>
#include <set>
#include <string_view>
#include <tuple>

#include "common/model/json.hpp"
#include "common/model/json_reader.hpp"
#include "common/model/match.hpp"
#include "common/model/policy_reader.hpp"
#include "common/model/state_json.hpp"
#include "common/model/state_reader.hpp"

namespace lb {
namespace {

using wire::child;
using wire::ObjectReader;
using wire::read_cidrs;
using wire::read_policy;
using wire::read_policy_fields;
using wire::read_tls;
using wire::refuse;
using Json = nlohmann::json;

constexpr uint64_t kMaxPort = 65'535;
constexpr size_t kMaxKey = 512;

IpAddress read_address(const Json& value, const std::string& pointer) {
  const auto address = IpAddress::parse(lb::wire::as_text(value, pointer));
  if (!address) refuse(pointer, address.error().message);
  return *address;
}

void read_strings(ObjectReader& reader, const char* name, std::vector<std::string>& out) {
  reader.list(name, [&](const Json& value, const std::string& pointer) {
    out.push_back(lb::wire::as_text(value, pointer));
  });
}

Backend read_backend(const Json& value, const std::string& pointer, PassedOver* lenient) {
  ObjectReader reader(value, pointer, lenient);
  Backend out;
  out.address = read_address(reader.require("address"), reader.at("address"));
  reader.require("port");
  reader.number("port", out.port, 1, kMaxPort);
  reader.number("weight", out.weight, 0, kMaxPort);
  // One that is neither of the three is not known to be fit for anything.
  if (reader.find("state") != nullptr) out.state = BackendState::kNotReady;
  reader.choice("state", out.state,
                {BackendState::kReady, BackendState::kDraining, BackendState::kNotReady});
  reader.text("name", out.name);
  reader.text("node", out.node);
  reader.text("zone", out.zone);
  reader.text("group", out.group);
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

void read_match(ObjectReader& parent, Match& out) {
  const auto* value = parent.find("match");
  if (value == nullptr) return;
  ObjectReader reader(*value, parent.at("match"));
  reader.list("names", [&](const Json& each, const std::string& pointer) {
    const auto name = parse_server_name(lb::wire::as_text(each, pointer));
    if (!name) refuse(pointer, name.error().message);
    out.names.push_back(*name);
  });
  read_cidrs(reader, "sources", out.sources);
  reader.finish();
  if (const auto fits = check_size(out); !fits) refuse(parent.at("match"), fits.error().message);
  const auto same = [](const auto& each) { return each; };
  refuse_twice(out.names, same, reader.at("names"), "name");
  refuse_twice(out.sources, same, reader.at("sources"), "range");
}

BackendGroup read_group(const Json& value, const std::string& pointer, PassedOver* lenient) {
  ObjectReader reader(value, pointer, lenient);
  BackendGroup out;
  reader.require("name");
  reader.text("name", out.name);
  if (out.name.empty()) refuse(reader.at("name"), "must not be empty");
  reader.number("weight", out.weight, 0, kMaxPort);
  read_cidrs(reader, "sources", out.sources);
  reader.finish();
  return out;
}

// Each backend of a port that has groups is in one of them: otherwise it would have no share.
void check_groups(const ServicePort& port, const ObjectReader& reader) {
  if (port.groups.size() > kMaxGroups) {
    refuse(reader.at("groups"), "has more than " + std::to_string(kMaxGroups) + " groups");
  }
  refuse_twice(
      port.groups, [](const BackendGroup& g) { return g.name; }, reader.at("groups"), "name");
  if (port.groups.empty()) return;
  std::set<std::string_view> names;
  for (const auto& group : port.groups) names.insert(group.name);
  for (size_t i = 0; i < port.backends.size(); ++i) {
    if (names.contains(port.backends[i].group)) continue;
    const std::string at = child(reader.at("backends"), std::to_string(i)) + "/group";
    if (port.backends[i].group.empty()) refuse(at, "is missing: the port has groups");
    refuse(at, "'" + port.backends[i].group + "' is none of the port's groups");
  }
}

void read_protocol(const ObjectReader& port, const Json& value, Protocol& out) {
  const std::string given = lb::wire::as_text(value, port.at("protocol"));
  if (given != to_string(Protocol::kTcp) && given != to_string(Protocol::kUdp)) {
    wire::refuse_unknown(port.at("protocol"), "unknown value '" + given + "'");
  }
  out = given == to_string(Protocol::kUdp) ? Protocol::kUdp : Protocol::kTcp;
}

// What tells whom the port is for is never passed over: without it, it would be for more.
ServicePort read_port(const Json& value, const std::string& pointer, const Policy& service,
                      PassedOver* lenient) {
  ObjectReader reader(value, pointer, lenient);
  ServicePort out;
  out.policy = service;
  reader.text("name", out.name);
  reader.require("port");
  reader.number("port", out.port, 1, kMaxPort);
  if (const auto* given = reader.find("protocol")) read_protocol(reader, *given, out.protocol);
  read_match(reader, out.match);
  read_tls(reader, out.tls);
  reader.list("backends", [&](const Json& each, const std::string& where) {
    out.backends.push_back(read_backend(each, where, lenient));
  });
  refuse_twice(
      out.backends, [](const Backend& b) { return b.endpoint(); }, reader.at("backends"),
      "(address, port)");
  read_policy(reader, out.policy);
  reader.list("groups", [&](const Json& each, const std::string& where) {
    out.groups.push_back(read_group(each, where, lenient));
  });
  check_groups(out, reader);
  reader.finish();
  return out;
}

// A port of which that is unknown stays out.
void read_port_or_pass_over(const Json& value, const std::string& pointer, Service& service,
                            PassedOver& lenient) {
  try {
    service.ports.push_back(read_port(value, pointer, service.policy, &lenient));
  } catch (const wire::Refused& refused) {
    if (!refused.unknown) throw;
    lenient.add(refused.error);
  }
}

void read_ports(ObjectReader& reader, Service& out) {
  PassedOver* lenient = reader.lenient();
  reader.list("ports", [&](const Json& each, const std::string& where) {
    if (lenient != nullptr) return read_port_or_pass_over(each, where, out, *lenient);
    out.ports.push_back(read_port(each, where, out.policy, nullptr));
  });
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

Service read_service(const Json& value, const std::string& pointer, PassedOver* lenient) {
  ObjectReader reader(value, pointer, lenient);
  Service out;
  out.key = read_key(reader.require("key"), reader.at("key"));
  reader.list("addresses", [&](const Json& each, const std::string& where) {
    out.addresses.push_back(read_address(each, where));
  });
  refuse_twice(
      out.addresses, [](const IpAddress& a) { return a; }, reader.at("addresses"), "address");
  read_policy(reader, out.policy);
  read_ports(reader, out);
  reader.finish();
  for (auto& port : out.ports) {
    std::sort(port.match.names.begin(), port.match.names.end());
    std::sort(port.match.sources.begin(), port.match.sources.end());
  }
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
  reader.number(name, out, 0, wire::kMaxVersion);
}

}  // namespace wire

namespace {

using wire::read_schema;
using wire::read_service;
using wire::read_version;

ServiceList read_services(ObjectReader& reader, const char* name) {
  ServiceList out;
  reader.list(name, [&](const Json& each, const std::string& where) {
    out.push_back(read_service(each, where, nullptr));
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
