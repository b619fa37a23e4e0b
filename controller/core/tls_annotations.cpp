#include "controller/core/tls_annotations.hpp"

#include <algorithm>
#include <set>

#include "common/model/match.hpp"
#include "controller/core/label_reader.hpp"
#include "controller/core/secret_names.hpp"
#include "controller/core/text.hpp"

namespace lb::plan {
namespace {

constexpr std::string_view kBackendFields = "backend.";
constexpr size_t kMaxProtocolName = 255;  // RFC 7301, section 3.1

// The certificates in these Secrets, in their order.
Status take_secrets(const std::string& text, const SecretEntry& kind, size_t most,
                    std::vector<std::string>& out) {
  std::vector<std::string> names;
  for (const auto& secret : split_list(text)) {
    const auto name = certificate_name({kind.ns, secret, kind.authorities});
    if (!name) return name.error();
    if (std::find(names.begin(), names.end(), *name) != names.end()) {
      return Error{"Schema", "'" + secret + "' stands there twice"};
    }
    names.push_back(*name);
  }
  if (names.empty()) return Error{"Schema", "is empty"};
  if (names.size() > most) {
    return Error{"TooLarge", "names more than " + std::to_string(most) + " Secrets"};
  }
  out = std::move(names);
  return Done{};
}

Status take_protocols(const std::string& text, std::vector<std::string>& out) {
  auto names = split_list(text);
  if (names.empty()) return Error{"Schema", "is empty"};
  const std::set<std::string> each(names.begin(), names.end());
  if (each.size() != names.size()) return Error{"Schema", "a protocol stands there twice"};
  if (names.size() > kMaxAlpn) return Error{"TooLarge", "has more than 16 protocols"};
  const bool fit = std::all_of(names.begin(), names.end(),
                               [](const auto& name) { return name.size() <= kMaxProtocolName; });
  if (!fit) return Error{"Schema", "a protocol's name has 1 to 255 bytes"};
  out = std::move(names);
  return Done{};
}

Status take_server_name(const std::string& text, std::string& out) {
  const auto name = parse_server_name(text);
  if (!name) return name.error();
  if (name->starts_with('*')) return Error{"Schema", "stands for several names"};
  out = *name;
  return Done{};
}

Status set_backend(BackendTls& backend, std::string_view field, const std::string& text,
                   const std::string& ns) {
  if (field == "server-name") return take_server_name(text, backend.server_name);
  if (field == "authorities") {
    return take_secrets(text, {ns, {}, true}, kMaxAuthorities, backend.authorities);
  }
  if (field != "verify") return Error{"Schema", "unknown field"};
  const auto flag = parse_flag(text);
  if (!flag) return Error{"Schema", "is neither true nor false"};
  backend.verify = *flag;
  return Done{};
}

Status set_certificates(TlsPolicy& tls, const std::string& text, const std::string& ns) {
  const Status taken = take_secrets(text, {ns, {}, false}, kMaxSecrets, tls.certificates);
  if (taken) tls.mode = TlsMode::kTerminate;
  return taken;
}

Status set_default(TlsPolicy& tls, const std::string& text, const std::string& ns) {
  const auto name = certificate_name({ns, text});
  if (!name) return name.error();
  tls.default_certificate = *name;
  return Done{};
}

// What is missing, or contradicts itself; empty: nothing.
std::string fault_of(const TlsPolicy& tls) {
  if (tls.mode != TlsMode::kTerminate) return "tls.secrets is missing: TLS ends only with them";
  const auto& known = tls.certificates;
  const bool listed = tls.default_certificate.empty() ||
                      std::find(known.begin(), known.end(), tls.default_certificate) != known.end();
  if (!listed) return "tls.default-secret is none of tls.secrets";
  if (tls.backend && tls.backend->verify && tls.backend->server_name.empty()) {
    return "tls.backend.server-name is missing: it is what certificates are verified for";
  }
  return {};
}

// Each name stands in the state once for each port.
void bound_names(std::vector<ServicePort>& ports, std::vector<Problem>& problems) {
  size_t names = 0;
  for (const auto& port : ports) names += certificates_of(port.tls).size();
  if (names <= kMaxNames) return;
  problems.push_back(
      {"InvalidAnnotation",
       "empalme.io/tls: names of Secrets times ports are more than " + std::to_string(kMaxNames),
       0,
       {},
       true});
  for (auto& port : ports) port.tls = {};
}

}  // namespace

Status set_tls(TlsPolicy& tls, std::string_view field, const std::string& text,
               const std::string& ns) {
  field.remove_prefix(std::min(kTlsFields.size(), field.size()));
  if (field == "secrets") return set_certificates(tls, text, ns);
  if (field == "default-secret") return set_default(tls, text, ns);
  if (field == "alpn") return take_protocols(text, tls.alpn);
  if (field == "client-authorities") {
    return take_secrets(text, {ns, {}, true}, kMaxAuthorities, tls.client_authorities);
  }
  if (!field.starts_with(kBackendFields)) return Error{"Schema", "unknown field"};
  field.remove_prefix(kBackendFields.size());
  BackendTls backend = tls.backend.value_or(BackendTls{});
  const Status set = set_backend(backend, field, text, ns);
  if (set) tls.backend = std::move(backend);
  return set;
}

Status exempt_from_tls(TlsPolicy& tls, const TlsPolicy& of_service) {
  if (of_service.mode != TlsMode::kTerminate) return Error{"Schema", "is empty"};
  if (tls != of_service) return Error{"Schema", "is empty, and more is asked of TLS for this port"};
  tls = {};
  return Done{};
}

void finish_tls(std::vector<ServicePort>& ports, std::vector<Problem>& problems) {
  bound_names(ports, problems);
  for (auto& port : ports) {
    if (port.tls == TlsPolicy{}) continue;
    const std::string fault = fault_of(port.tls);
    if (fault.empty()) continue;
    problems.push_back({"InvalidAnnotation", std::string("empalme.io/") + fault, port.port,
                        port.protocol == Protocol::kUdp ? "UDP" : "TCP", true});
    port.tls = {};
  }
}

}  // namespace lb::plan
