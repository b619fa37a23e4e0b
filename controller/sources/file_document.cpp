#include "controller/sources/file_document.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "common/model/json.hpp"
#include "common/model/json_reader.hpp"
#include "common/model/state_json.hpp"
#include "controller/sources/layers.hpp"
#include "controller/sources/yaml_json.hpp"

namespace lb::sources {
namespace {

using Json = nlohmann::json;

struct BadFile {
  Error error;
};

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
  Expander(PositionMap& positions, FileDocument& out) : positions_(positions), out_(out) {}

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
  static std::string at(const std::string& pointer, size_t index) {
    return wire::child(pointer, std::to_string(index));
  }

  [[noreturn]] static void refuse(const std::string& pointer, const std::string& why) {
    throw BadFile{{"Schema", why, pointer}};
  }

  // Before what is missing: a mistyped name explains it.
  static void known_fields(const Json& value, const std::string& pointer,
                           const std::set<std::string>& fields) {
    for (const auto& [name, ignored] : value.items()) {
      if (!fields.contains(name))
        refuse(wire::child(pointer, name), "unknown field '" + name + "'");
    }
  }

  void service(Json& value, const std::string& pointer) {
    known_fields(value, pointer,
                 {"name", "key", "listen", "addresses", "ports", "backends", "policy"});
    name(value, pointer);
    for (const char* field : {"listen", "backends"}) split(value, field, pointer);
    if (value.contains("policy")) split_ranges(value["policy"], pointer + "/policy");
    if (value.contains("listen")) listen(value, pointer);
    if (value.contains("backends")) refuse(pointer + "/backends", "needs 'listen' beside it");
    const auto ports = value.find("ports");
    if (ports == value.end() || !ports->is_array()) return;
    for (size_t i = 0; i < ports->size(); ++i) {
      Json& port = (*ports)[i];
      if (!port.is_object()) continue;
      const std::string here = at(pointer + "/ports", i);
      split(port, "backends", here);
      if (port.contains("policy")) split_ranges(port["policy"], here + "/policy");
      port_backends(value, port, here);
    }
  }

  void split_ranges(Json& policy, const std::string& pointer) {
    if (!policy.is_object()) return;
    for (const char* field : {"source_ranges", "accept_proxy_from"}) split(policy, field, pointer);
  }

  // "a, b" becomes ["a", "b"]; all of them stand where the string stood.
  void split(Json& value, const char* field, const std::string& pointer) {
    const auto found = value.find(field);
    if (found == value.end() || !found->is_string()) return;
    const std::string text = *found;
    const std::string here = wire::child(pointer, field);
    Json list = Json::array();
    for (size_t begin = 0; begin <= text.size();) {
      const size_t comma = std::min(text.find(',', begin), text.size());
      std::string each = text.substr(begin, comma - begin);
      each.erase(0, each.find_first_not_of(" \t"));
      each.erase(each.find_last_not_of(" \t") + 1);
      if (each.empty()) refuse(here, "has nothing before, after or between its commas");
      list.push_back(std::move(each));
      begin = comma + 1;
    }
    *found = std::move(list);
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
    }
    value.erase("listen");
    value.erase("backends");
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
    if (const auto endpoint = parse_endpoint(text)) {
      return Json{{"address", endpoint->address.to_string()}, {"port", endpoint->port}};
    }
    const auto named = parse_host_port(text);
    if (!named) refuse(pointer, "'" + text + "' is neither ADDRESS:PORT nor NAME:PORT");
    NamedBackend out{"", 0, named->host, named->port};
    if (service.contains("key") && service["key"].is_string()) out.key = service["key"];
    const auto number = port.find("port");
    if (number != port.end() && number->is_number_unsigned())
      out.service_port = number->get<uint16_t>();
    out_.named.push_back(std::move(out));
    return std::nullopt;
  }

  PositionMap& positions_;
  FileDocument& out_;
  std::set<Json> names_;
};

// Layer upon layer, then what they make together.
class Layers {
 public:
  Layers(const std::vector<FileLayer>& layers, const Environment& environment)
      : layers_(layers), environment_(environment) {}

  Result<FileDocument> parse() {
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (const auto added = add(i); !added) return added.error();
    }
    FileDocument out;
    try {
      Expander(positions_, out).expand(document_);
    } catch (const BadFile& bad) {
      return placed(bad.error, positions_);
    }
    const auto state = decode_state(document_.dump(-1, ' ', false, Json::error_handler_t::replace));
    if (!state) return placed(state.error(), positions_);
    out.services.assign(state->services.begin(), state->services.end());
    return out;
  }

 private:
  Status add(size_t index) {
    Json document;
    PositionMap positions;
    const auto parsed = parse_yaml(layers_[index].text, document, positions, environment_, index);
    if (!parsed) return of_layer(parsed.error(), index);
    try {
      Expander::check_layer(document);
    } catch (const BadFile& bad) {
      return placed(bad.error, positions);
    }
    if (index > 0) {
      const auto laid = lay_over({document_, positions_}, {document, positions});
      return laid ? laid : Status(placed(laid.error(), positions));
    }
    document_ = std::move(document);
    positions_ = std::move(positions);
    return Done{};
  }

  Error placed(Error error, const PositionMap& positions) const {
    const Position where = positions.find(error.pointer);
    error.message += " at " + describe(where);
    return of_layer(std::move(error), where.layer);
  }

  Error of_layer(Error error, size_t index) const {
    const std::string& path = layers_[index].path;
    if (!path.empty()) error.message = path + ": " + error.message;
    return error;
  }

  const std::vector<FileLayer>& layers_;
  const Environment& environment_;
  Json document_;
  PositionMap positions_;
};

}  // namespace

Result<FileDocument> parse_file_layers(const std::vector<FileLayer>& layers,
                                       const Environment& environment) {
  return Layers(layers, environment).parse();
}

Result<FileDocument> parse_file_document(std::string_view text) {
  return parse_file_layers({{"", std::string(text)}}, {});
}

}  // namespace lb::sources
