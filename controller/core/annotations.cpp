#include "controller/core/annotations.hpp"

#include <algorithm>
#include <optional>
#include <set>

#include "common/model/json.hpp"
#include "common/model/match.hpp"
#include "common/model/state_json.hpp"
#include "controller/core/joins.hpp"
#include "controller/core/text.hpp"
#include "controller/core/tls_annotations.hpp"

namespace lb::plan {
namespace {

using nlohmann::json;

constexpr std::string_view kPort = "port.";
constexpr std::string_view kMatch = "match";
constexpr std::string_view kSecretsField = "tls.secrets";

// Not of the policy; read elsewhere.
bool is_other(const std::string& name) {
  return name == kAddressesAnnotation || name == kTargetsAnnotation || name == kPoolAnnotation ||
         name == kShareKeyAnnotation || name == kGroupsAnnotation;
}

// "tls" alone is no field, but somebody meant one.
bool is_tls(std::string_view field) { return field == "tls" || field.starts_with(kTlsFields); }

// Without them a Service serves more than its owner meant to.
bool guards(std::string_view field) {
  return field == "source-ranges" || field == "deny-ranges" || field.starts_with("max-") ||
         field.starts_with(kMatch) || is_tls(field);
}

bool is_number(std::string_view text) {
  return !text.empty() && text.size() < 18 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// The value in every form that it may be meant in, the likeliest first.
std::vector<json> meanings(const std::string& text) {
  std::vector<json> out;
  if (is_number(text)) out.push_back(std::stoull(text));
  if (text == "true" || text == "false") out.push_back(text == "true");
  out.push_back(text);
  out.push_back(split_list(text));
  return out;
}

// {"health": {"path": value}} of "health.path".
std::string document_of(std::string field, const json& value) {
  std::replace(field.begin(), field.end(), '-', '_');
  const size_t dot = field.find('.');
  const json inner = dot == std::string::npos
                         ? json{{field, value}}
                         : json{{field.substr(0, dot), {{field.substr(dot + 1), value}}}};
  return inner.dump(-1, ' ', false, json::error_handler_t::replace);
}

// The policy with the field, or why not.
Result<Policy> with_field(const Policy& base, const std::string& field, const std::string& text) {
  std::optional<Error> first;
  for (const json& value : meanings(text)) {
    auto policy = decode_policy(document_of(field, value), base);
    if (policy) return policy;
    // A list in which something is wrong says more than "is no list".
    const bool better = value.is_array() && policy.error().pointer.ends_with("/0");
    if (!first || better) first = policy.error();
  }
  return *first;
}

Status set_names(Match& match, const std::vector<std::string>& texts) {
  std::set<std::string> names;
  for (const auto& text : texts) {
    const auto name = parse_server_name(text);
    if (!name) return name.error();
    names.insert(*name);
  }
  match.names.assign(names.begin(), names.end());
  return Done{};
}

Status set_sources(Match& match, const std::vector<std::string>& texts) {
  std::set<Cidr> sources;
  for (const auto& text : texts) {
    const auto range = Cidr::parse(text);
    if (!range) return range.error();
    sources.insert(*range);
  }
  match.sources.assign(sources.begin(), sources.end());
  return Done{};
}

// "match.names", "match.sources". An empty one would be for everybody.
Status set_match(Match& match, const std::string& field, const std::string& text) {
  const auto texts = split_list(text);
  if (texts.empty()) return Error{"Schema", "is empty"};
  Match out = match;
  const Status set = field == "match.names"     ? set_names(out, texts)
                     : field == "match.sources" ? set_sources(out, texts)
                                                : Status(Error{"Schema", "unknown field"});
  if (!set) return set;
  if (const auto fits = check_size(out); !fits) return fits;
  match = std::move(out);
  return Done{};
}

struct Named {
  std::string port;  // empty: the Service
  std::string field;
};

// "port.http.balance": a port's name has no dots (RFC 6335).
Named parse(std::string_view rest) {
  if (!rest.starts_with(kPort)) return {{}, std::string(rest)};
  rest.remove_prefix(kPort.size());
  const size_t dot = std::min(rest.find('.'), rest.size());
  return {std::string(rest.substr(0, dot)),
          std::string(rest.substr(std::min(dot + 1, rest.size())))};
}

class Reader {
 public:
  Reader(std::string ns, Policy& service, std::vector<ServicePort>& ports,
         std::vector<Problem>& problems)
      : ns_(std::move(ns)), service_(service), ports_(ports), problems_(problems) {}

  // What ports say of TLS from now on is held against what the Service has said.
  void begin_ports() {
    for (const auto& port : ports_) tls_of_service_.push_back(port.tls);
  }

  void read_service(const std::string& name, const Named& named, const std::string& text) {
    if (named.field.starts_with(kMatch)) return read_match(name, named, text);
    if (is_tls(named.field)) return read_tls(name, named, text);
    for (ServicePort& port : ports_) {
      if (auto policy = with_field(port.policy, named.field, text)) {
        port.policy = std::move(policy).value();
      }
    }
    auto policy = with_field(service_, named.field, text);
    if (!policy) return refuse(name, named.field, policy.error());
    service_ = std::move(policy).value();
  }

  void read_port(const std::string& name, const Named& named, const std::string& text) {
    bool found = false;
    for (size_t index = 0; index < ports_.size(); ++index) {
      ServicePort& port = ports_[index];
      if (port.name != named.port && std::to_string(port.port) != named.port) continue;
      // A number may stand for two ports, and datagrams name nobody.
      const bool by_number = port.name != named.port;
      if (of_streams(named) && by_number && port.protocol == Protocol::kUdp) continue;
      found = true;
      if (of_streams(named)) {
        const auto set = set_of_streams(index, named, text);
        if (!set) return refuse(name, named.field, set.error());
        continue;
      }
      auto policy = with_field(port.policy, named.field, text);
      if (!policy) return refuse(name, named.field, policy.error());
      port.policy = std::move(policy).value();
    }
    if (!found) refuse(name, named.field, Error{"Schema", "there is no port " + named.port});
  }

 private:
  // What only ports of TCP have.
  static bool of_streams(const Named& named) {
    return named.field.starts_with(kMatch) || is_tls(named.field);
  }

  Status set_of_streams(size_t index, const Named& named, const std::string& text) {
    ServicePort& port = ports_[index];
    if (named.field.starts_with(kMatch)) return set_match(port.match, named.field, text);
    if (port.protocol == Protocol::kUdp) return Error{"Schema", "is not for ports of UDP"};
    if (named.field == kSecretsField && text.empty()) {
      return exempt_from_tls(port.tls, tls_of_service_[index]);
    }
    return set_tls(port.tls, named.field, text, ns_);
  }

  // Of the Service: a port may be exempt, but not all of them by a value that got lost.
  void read_tls(const std::string& name, const Named& named, const std::string& text) {
    const auto no = [&](const Error& why) { refuse(name, named.field, why); };
    if (text.empty()) return no(Error{"Schema", "is empty"});
    if (split_list(text).size() * ports_.size() > kMaxNames) {
      return no(Error{"TooLarge",
                      "times the ports of the Service is more than " + std::to_string(kMaxNames)});
    }
    bool taken = false;
    for (ServicePort& port : ports_) {
      if (port.protocol == Protocol::kUdp) continue;
      const auto set = set_tls(port.tls, named.field, text, ns_);
      if (!set) return no(set.error());
      taken = true;
    }
    if (!taken) no(Error{"Schema", "there is no port of TCP"});
  }

  // Of the Service: datagrams name nobody. The names are written once for each port, and a document
  // that no data plane takes would keep everybody's changes from it.
  void read_match(const std::string& name, const Named& named, const std::string& text) {
    if (split_list(text).size() * ports_.size() > kMaxMatchAtoms) {
      return refuse(name, named.field,
                    Error{"TooLarge", "times the ports of the Service is more than " +
                                          std::to_string(kMaxMatchAtoms)});
    }
    for (ServicePort& port : ports_) {
      if (port.protocol == Protocol::kUdp) continue;
      const auto set = set_match(port.match, named.field, text);
      if (!set) return refuse(name, named.field, set.error());
    }
  }

  void refuse(const std::string& name, const std::string& field, const Error& error) {
    problems_.push_back({"InvalidAnnotation", name + ": " + error.message, 0, {}, guards(field)});
  }

  const std::string ns_;
  Policy& service_;
  std::vector<ServicePort>& ports_;
  std::vector<Problem>& problems_;
  std::vector<TlsPolicy> tls_of_service_;  // by port
};

}  // namespace

void apply_annotations(const ObjectMeta& meta, Policy& service, std::vector<ServicePort>& ports,
                       std::vector<Problem>& problems) {
  const auto& annotations = meta.annotations;
  Reader reader(meta.ns, service, ports, problems);
  const auto first = annotations.lower_bound(kAnnotationPrefix);
  // Those of ports come last: they override what the Service says.
  for (const bool of_ports : {false, true}) {
    if (of_ports) reader.begin_ports();
    for (auto it = first; it != annotations.end() && it->first.starts_with(kAnnotationPrefix);
         ++it) {
      const auto& [name, text] = *it;
      const Named named = parse(std::string_view(name).substr(sizeof(kAnnotationPrefix) - 1));
      if (is_other(name) || named.port.empty() == of_ports) continue;
      if (of_ports) {
        reader.read_port(name, named, trimmed(text));
      } else {
        reader.read_service(name, named, trimmed(text));
      }
    }
  }
  finish_tls(ports, problems);
}

}  // namespace lb::plan
