#include "controller/sources/file_expander.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>

#include "common/model/json.hpp"
#include "common/model/json_reader.hpp"
#include "common/model/state_json.hpp"
#include "controller/sources/file_fields.hpp"
#include "controller/sources/tls_expander.hpp"

namespace lb::sources {
namespace {

using Json = nlohmann::json;

struct HostPort {
  std::string host;
  uint16_t port = 0;
};

// RFC 1123 letters, digits, hyphens and dots (and underscores, which container names have).
bool is_host_name(std::string_view host) {
  if (host.empty() || host.size() > 253 || host.front() == '-' || host.front() == '.') return false;
  for (const char c : host) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!word && c != '-' && c != '.' && c != '_') return false;
  }
  // All digits and dots is a mistyped address, never a name to look up.
  return host.find_first_not_of("0123456789.") != std::string_view::npos;
}

std::optional<HostPort> parse_host_port(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || !is_host_name(text.substr(0, colon))) return std::nullopt;
  HostPort out{text.substr(0, colon)};
  const char* end_of_text = text.data() + text.size();
  auto [end, error] = std::from_chars(text.data() + colon + 1, end_of_text, out.port);
  if (error != std::errc{} || end != end_of_text || out.port == 0) return std::nullopt;
  return out;
}

// Rewrites the shorthands of one file into the wire's schema.
class Expander {
 public:
  Expander(PositionMap& positions, const std::vector<FileLayer>& layers, FileDocument& out)
      : positions_(positions), out_(out), tls_(positions, layers, out.certificates) {}

  static void check_layer(const Json& document) {
    // An editor may be about to fill it: an empty file is never a wish to serve nothing.
    if (document.is_null()) refuse("", "the file is empty; 'services: []' serves nothing");
    if (!document.is_object()) refuse("", "the file must be a map with 'services'");
    known_fields(document, "", {"services", "schema", "epoch", "generation"});
    const auto given = document.find("services");
    if (given == document.end()) refuse("", "needs 'services'");
    if (given->is_null()) refuse("/services", "is empty; 'services: []' serves nothing");
    if (!given->is_array()) refuse("/services", "must be a list");
  }

  void expand(Json& document) {
    document.emplace("schema", kSchema);
    document.emplace("epoch", 0);
    document.emplace("generation", 0);
    Json& services = document["services"];
    for (size_t i = 0; i < services.size(); ++i) {
      if (services[i].is_object()) service(services[i], at("/services", i));
    }
  }

 private:
  void service(Json& value, const std::string& pointer) {
    known_fields(
        value, pointer,
        {"name", "key", "listen", "addresses", "ports", "backends", "groups", "match", "tls",
         "policy"});
    name(value, pointer);
    for (const char* field : {"listen", "backends"}) split(value, field, pointer);
    if (value.contains("policy")) split_ranges(value["policy"], pointer + "/policy");
    if (value.contains("listen")) listen(value, pointer);
    for (const char* field : {"backends", "groups", "match", "tls"}) {
      if (value.contains(field)) refuse(wire::child(pointer, field), "needs 'listen' beside it");
    }
    const auto ports = value.find("ports");
    if (ports == value.end() || !ports->is_array()) return;
    for (size_t i = 0; i < ports->size(); ++i) {
      Json& port = (*ports)[i];
      if (!port.is_object()) continue;
      const std::string here = at(pointer + "/ports", i);
      split(port, "backends", here);
      if (port.contains("policy")) split_ranges(port["policy"], here + "/policy");
      if (port.contains("match")) split_match(port["match"], here + "/match");
      if (port.contains("tls")) tls_.expand(port["tls"], here + "/tls");
      groups(value, port, here);
      port_backends(value, port, here);
    }
  }

  // Their backends go to the port's, services that have them aside.
  void groups(const Json& service, Json& port, const std::string& pointer) {
    const auto found = port.find("groups");
    if (found == port.end() || !found->is_array()) return;
    Json& list = *found;
    for (size_t i = 0; i < list.size(); ++i) {
      const std::string here = at(pointer + "/groups", i);
      if (!list[i].is_object()) continue;
      known_fields(list[i], here, {"name", "weight", "sources", "backends", "service", "port"});
      for (const char* field : {"sources", "backends"}) split(list[i], field, here);
      join_service(service, port, list[i], here);
      move_backends(list[i], port, here, pointer + "/backends");
    }
  }

  void join_service(const Json& service, const Json& port, Json& group,
                    const std::string& pointer) {
    const auto given = group.find("service"), number = group.find("port");
    if (given == group.end()) {
      if (number != group.end()) refuse(pointer + "/port", "needs 'service' beside it");
      return;
    }
    check_alone(service, port, pointer + "/service");
    NamedGroup out;
    if (!given->is_string() ||
        given->get_ref<const std::string&>().find('/') == std::string::npos) {
      refuse(pointer + "/service", "must be a service's key, as in kubernetes/shop/web");
    }
    out.join.service = *given;
    if (number != group.end()) out.join.service_port = port_number(*number, pointer + "/port");
    out.join.group = text_of(group, "name");
    out.join.port = number_of(port);
    out.join.protocol = protocol_of(port);
    out.key = text_of(service, "key");
    out_.joined.push_back(std::move(out));
    group.erase("service");
    group.erase("port");
  }

  void move_backends(Json& group, Json& port, const std::string& from, const std::string& to) {
    const auto moved = group.find("backends");
    if (moved == group.end()) return;
    if (!moved->is_array()) refuse(from + "/backends", "must be a list");
    Json& backends = port["backends"];
    if (backends.is_null()) backends = Json::array();
    if (!backends.is_array()) return;
    for (size_t i = 0; i < moved->size(); ++i) {
      const std::string here = at(to, backends.size());
      positions_.set(here, positions_.find(at(from + "/backends", i)));
      Json each = (*moved)[i];
      if (each.is_object()) each["group"] = text_of(group, "name");
      if (each.is_string()) group_of_[here] = text_of(group, "name");
      backends.push_back(std::move(each));
    }
    group.erase("backends");
  }

  static Protocol protocol_of(const Json& port) {
    return text_of(port, "protocol") == "udp" ? Protocol::kUdp : Protocol::kTcp;
  }

  static uint16_t port_number(const Json& value, const std::string& pointer) {
    const bool sound = value.is_number_unsigned() && value.get<uint64_t>() >= 1 &&
                       value.get<uint64_t>() <= UINT16_MAX;
    if (!sound) refuse(pointer, "must be a whole number from 1 to 65535");
    return value.get<uint16_t>();
  }

  // What is wrong with it is said later.
  static uint16_t number_of(const Json& port) {
    const auto found = port.find("port");
    return found != port.end() && found->is_number_unsigned() ? found->get<uint16_t>() : 0;
  }

  void split_ranges(Json& policy, const std::string& pointer) {
    if (!policy.is_object()) return;
    for (const char* field : {"source_ranges", "deny_ranges", "accept_proxy_from"}) {
      split(policy, field, pointer);
    }
  }

  void split_match(Json& match, const std::string& pointer) {
    if (!match.is_object()) return;
    for (const char* field : {"names", "sources"}) split(match, field, pointer);
  }

  void name(Json& value, const std::string& pointer) {
    const auto found = value.find("name");
    if (found == value.end() && !value.contains("key")) refuse(pointer, "needs a 'name'");
    if (found == value.end()) return;
    if (value.contains("key")) refuse(pointer + "/name", "stands beside 'key'; one is enough");
    if (!found->is_string()) refuse(pointer + "/name", "must be a string");
    if (!names_.insert(*found).second) {
      refuse(pointer + "/name", "the name '" + found->get<std::string>() + "' is given twice");
    }
    value["key"] = "file/" + found->get<std::string>();
    positions_.set(pointer + "/key", positions_.find(pointer + "/name"));
    value.erase("name");
  }

  void listen(Json& value, const std::string& pointer) {
    for (const char* other : {"addresses", "ports"}) {
      if (value.contains(other))
        refuse(pointer + "/listen", std::string("stands beside '") + other + "'");
    }
    const auto endpoints = listen_endpoints(value["listen"], pointer + "/listen");
    std::set<IpAddress> addresses;
    std::set<uint16_t> ports;
    for (const auto& endpoint : endpoints) {
      addresses.insert(endpoint.address);
      ports.insert(endpoint.port);
    }
    if (addresses.size() * ports.size() != endpoints.size()) {
      refuse(pointer + "/listen", "needs every address with every port; use two services");
    }
    write_listeners(value, pointer, addresses, ports);
  }

  std::set<Endpoint> listen_endpoints(const Json& value, const std::string& pointer) {
    std::set<Endpoint> out;
    const Json list = value.is_array() ? value : Json::array({value});
    for (size_t i = 0; i < list.size(); ++i) {
      const std::string here = value.is_array() ? at(pointer, i) : pointer;
      if (!list[i].is_string()) refuse(here, "must be ADDRESS:PORT");
      const auto endpoint = parse_endpoint(list[i].get<std::string>());
      if (!endpoint) refuse(here, endpoint.error().message);
      if (!out.insert(*endpoint).second) refuse(here, "the same address and port twice");
    }
    return out;
  }

  void write_listeners(Json& value, const std::string& pointer,
                       const std::set<IpAddress>& addresses, const std::set<uint16_t>& ports) {
    const Json backends = value.value("backends", Json::array());
    const PositionMap before = positions_;
    value["addresses"] = Json::array();
    value["ports"] = Json::array();
    for (const auto& address : addresses) value["addresses"].push_back(address.to_string());
    for (const uint16_t number : ports) {
      const std::string here = at(pointer + "/ports", value["ports"].size());
      value["ports"].push_back({{"port", number}, {"backends", backends}});
      positions_.set(here, positions_.find(pointer + "/listen"));
      for (size_t i = 0; i < (backends.is_array() ? backends.size() : 0); ++i) {
        positions_.set(at(here + "/backends", i), positions_.find(at(pointer + "/backends", i)));
      }
      positions_.set(here + "/backends", positions_.find(pointer + "/backends"));
      for (const std::string field : {"groups", "match", "tls"}) {
        if (!value.contains(field)) continue;
        value["ports"].back()[field] = value[field];
        positions_.adopt(here + "/" + field, before, pointer + "/" + field);
      }
    }
    for (const char* field : {"listen", "backends", "groups", "match", "tls"}) value.erase(field);
  }

  // Strings become objects, names go aside. Positions of what follows a name move up with it.
  void port_backends(const Json& service, Json& port, const std::string& pointer) {
    const auto backends = port.find("backends");
    if (backends == port.end() || !backends->is_array()) return;
    Json kept = Json::array();
    for (size_t i = 0; i < backends->size(); ++i) {
      const std::string here = at(pointer + "/backends", i);
      const Position position = positions_.find(here);
      if (auto object = backend((*backends)[i], here, service, port)) {
        positions_.set(at(pointer + "/backends", kept.size()), position);
        kept.push_back(std::move(*object));
      }
    }
    *backends = std::move(kept);
  }

  std::optional<Json> backend(const Json& value, const std::string& pointer, const Json& service,
                              const Json& port) {
    if (!value.is_string()) return value;
    const std::string text = value.get<std::string>();
    const auto grouped = group_of_.find(pointer);
    const std::string group = grouped == group_of_.end() ? "" : grouped->second;
    if (const auto endpoint = parse_endpoint(text)) {
      Json out{{"address", endpoint->address.to_string()}, {"port", endpoint->port}};
      if (!group.empty()) out["group"] = group;
      return out;
    }
    const auto named = parse_host_port(text);
    if (!named) refuse(pointer, "'" + text + "' is neither ADDRESS:PORT nor NAME:PORT");
    check_alone(service, port, pointer);
    NamedBackend out{text_of(service, "key"), number_of(port), named->host, named->port, group,
                     protocol_of(port)};
    check_group(port, group, pointer);
    out_.named.push_back(std::move(out));
    return std::nullopt;
  }

  // What goes aside is known by the port's number.
  static void check_alone(const Json& service, const Json& port, const std::string& pointer) {
    const auto ports = service.find("ports");
    if (ports == service.end()) return;
    const auto same = [&](const Json& each) {
      return each.is_object() && number_of(each) == number_of(port) &&
             protocol_of(each) == protocol_of(port);
    };
    if (std::count_if(ports->begin(), ports->end(), same) > 1) {
      refuse(pointer,
             "needs a port whose number no other port of the service has; use two services");
    }
  }

  // The wire's reader sees no backend by name.
  static void check_group(const Json& port, const std::string& group, const std::string& pointer) {
    const auto groups = port.find("groups");
    if (group.empty() && groups != port.end() && groups->is_array() && !groups->empty()) {
      refuse(pointer, "stands beside groups and is in none of them");
    }
  }

  PositionMap& positions_;
  FileDocument& out_;
  TlsExpander tls_;
  std::set<Json> names_;
  std::map<std::string, std::string> group_of_;  // backends written as strings, by where they stand
};

// The one place where a refusal turns from an exception into a value.
template <class Work>
Status status_of(Work work) {
  try {
    work();
  } catch (const BadFile& bad) {
    return bad.error;
  }
  return Done{};
}

}  // namespace

Status check_layer(const Json& document) {
  return status_of([&] { Expander::check_layer(document); });
}

Status expand(Json& document, PositionMap& positions, const std::vector<FileLayer>& layers,
              FileDocument& out) {
  return status_of([&] { Expander(positions, layers, out).expand(document); });
}

}  // namespace lb::sources
