#include "common/model/tls_policy.hpp"

#include <algorithm>
#include <set>

#include "common/model/json.hpp"
#include "common/model/json_reader.hpp"
#include "common/model/json_writer.hpp"
#include "common/model/match.hpp"

namespace lb {
namespace {

bool may_stand_in_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

bool is_part(std::string_view part) {
  return !part.empty() && part.find_first_not_of('.') != std::string_view::npos &&
         std::all_of(part.begin(), part.end(), may_stand_in_name);
}

}  // namespace

const char* to_string(TlsMode value) {
  static constexpr const char* kNames[] = {"none", "terminate", "passthrough"};
  return kNames[static_cast<size_t>(value)];
}

Status check_certificate_name(std::string_view name) {
  const Error refused{"InvalidName",
                      "a certificate's name is at most 240 letters, digits, '.', '_' and '-', in "
                      "parts that '/' joins"};
  if (name.size() > kMaxCertificateName) return refused;
  for (;;) {
    const size_t slash = name.find('/');
    if (!is_part(name.substr(0, slash))) return refused;
    if (slash == std::string_view::npos) return Done{};
    name.remove_prefix(slash + 1);
  }
}

std::vector<std::string> certificates_of(const TlsPolicy& tls) {
  std::set<std::string> out(tls.certificates.begin(), tls.certificates.end());
  out.insert(tls.client_authorities.begin(), tls.client_authorities.end());
  if (tls.backend) out.insert(tls.backend->authorities.begin(), tls.backend->authorities.end());
  return {out.begin(), out.end()};
}

namespace wire {
namespace {

constexpr size_t kMaxProtocolName = 255;  // RFC 7301, section 3.1

// No name twice.
template <class Check>
void read_texts(ObjectReader& reader, const char* name, size_t most, const Check& check,
                std::vector<std::string>& out) {
  std::set<std::string> seen;
  reader.list(name, [&](const nlohmann::json& value, const std::string& pointer) {
    std::string text = as_text(value, pointer);
    check(text, pointer);
    if (!seen.insert(text).second) refuse(pointer, "'" + text + "' stands here twice");
    if (seen.size() > most) {
      refuse(reader.at(name), "has more than " + std::to_string(most) + " entries");
    }
    out.push_back(std::move(text));
  });
}

void check_name(const std::string& text, const std::string& pointer) {
  if (const auto good = check_certificate_name(text); !good) refuse(pointer, good.error().message);
}

void check_protocol(const std::string& text, const std::string& pointer) {
  if (text.empty() || text.size() > kMaxProtocolName) {
    refuse(pointer, "a protocol's name has 1 to 255 bytes");
  }
}

void read_backend(ObjectReader& parent, std::optional<BackendTls>& out) {
  const auto* value = parent.find("backend");
  if (value == nullptr) return;
  ObjectReader reader(*value, parent.at("backend"));
  out.emplace();
  if (const auto* given = reader.find("server_name")) {
    const auto name = parse_server_name(as_text(*given, reader.at("server_name")));
    if (!name) refuse(reader.at("server_name"), name.error().message);
    if (name->starts_with('*')) refuse(reader.at("server_name"), "stands for several names");
    out->server_name = *name;
  }
  read_texts(reader, "authorities", kMaxAuthorities, check_name, out->authorities);
  reader.flag("verify", out->verify);
  reader.finish();
  if (out->verify && out->server_name.empty()) {
    refuse(reader.at("server_name"), "is missing: it is what certificates are verified for");
  }
}

// What only makes sense where TLS ends.
void check_mode(const ObjectReader& reader, const TlsPolicy& tls) {
  if (tls.mode == TlsMode::kTerminate) {
    if (tls.certificates.empty()) refuse(reader.at("certificates"), "is required to end TLS");
    const auto& known = tls.certificates;
    const bool fits = tls.default_certificate.empty() ||
                      std::find(known.begin(), known.end(), tls.default_certificate) != known.end();
    if (!fits) refuse(reader.at("default_certificate"), "is none of the certificates");
    return;
  }
  const bool more = !tls.default_certificate.empty() || !tls.alpn.empty() ||
                    !tls.client_authorities.empty() || tls.backend.has_value();
  if (more) refuse(reader.at("mode"), "only 'terminate' takes more than certificates");
}

void put_texts(JsonWriter& out, const char* name, const std::vector<std::string>& values) {
  if (values.empty()) return;
  out.name(name);
  out.begin_array();
  for (const auto& each : values) out.text(each);
  out.end_array();
}

void put_backend(JsonWriter& out, const BackendTls& backend) {
  out.name("backend");
  out.begin_object();
  if (!backend.server_name.empty()) member(out, "server_name", backend.server_name);
  put_texts(out, "authorities", backend.authorities);
  if (!backend.verify) {
    out.name("verify");
    out.flag(false);
  }
  out.end_object();
}

}  // namespace

void read_tls(ObjectReader& parent, TlsPolicy& out) {
  const auto* value = parent.find("tls");
  if (value == nullptr) return;
  ObjectReader reader(*value, parent.at("tls"));
  reader.require("mode");
  reader.choice("mode", out.mode, {TlsMode::kTerminate, TlsMode::kPassthrough});
  read_texts(reader, "certificates", kMaxCertificates, check_name, out.certificates);
  reader.text("default_certificate", out.default_certificate, kMaxCertificateName);
  read_texts(reader, "alpn", kMaxAlpn, check_protocol, out.alpn);
  read_texts(reader, "client_authorities", kMaxAuthorities, check_name, out.client_authorities);
  read_backend(reader, out.backend);
  reader.finish();
  check_mode(reader, out);
}

void put_tls(JsonWriter& out, const TlsPolicy& tls) {
  if (tls.mode == TlsMode::kNone) return;
  out.name("tls");
  out.begin_object();
  member(out, "mode", std::string(to_string(tls.mode)));
  put_texts(out, "certificates", tls.certificates);
  if (!tls.default_certificate.empty()) {
    member(out, "default_certificate", tls.default_certificate);
  }
  put_texts(out, "alpn", tls.alpn);
  put_texts(out, "client_authorities", tls.client_authorities);
  if (tls.backend) put_backend(out, *tls.backend);
  out.end_object();
}

}  // namespace wire
}  // namespace lb
