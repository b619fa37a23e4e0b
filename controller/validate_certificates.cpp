#include "controller/validate_certificates.hpp"

#include <ostream>

#include "common/model/json.hpp"
#include "controller/sources/file_certificates.hpp"

namespace lb::controller {
namespace {

using Json = nlohmann::ordered_json;
using Files = std::map<std::string, sources::CertificateFiles>;

constexpr int64_t kDay = 86'400;

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + name;
  return out.empty() ? "no name" : out;
}

void describe(const sources::CertificateFacts& facts, int64_t now_s, std::ostream& out) {
  const int64_t days = (facts.until - now_s) / kDay;
  out << (facts.authority ? "authority " : "certificate ") << facts.path << ": "
      << joined(facts.names) << "; " << days << (days == 1 ? " day left\n" : " days left\n");
}

void show_list(Json& object, const char* field, const Files& files) {
  const auto list = object.find(field);
  if (list == object.end()) return;
  for (auto& each : *list) {
    const auto found = files.find(each.get<std::string>());
    if (found == files.end()) continue;
    const auto& [certificate, key, file, pointer, place] = found->second;
    const bool two = std::string(field) == "certificates" && key != certificate;
    each = two ? Json{{"certificate", certificate}, {"key", key}} : Json(certificate);
  }
}

}  // namespace

size_t describe_certificates(const sources::FileDocument& document, int64_t now_s,
                             std::ostream& out, std::ostream& problems) {
  size_t bad = 0;
  for (const auto& [name, files] : document.certificates) {
    sources::FileCertificates one;
    const Status good = one.load({{name, files}}, now_s);
    if (good) {
      describe(one.facts().at(name), now_s, out);
      continue;
    }
    problems << good.error().message << " (" << good.error().pointer << ")\n";
    ++bad;
  }
  return bad;
}

void show_paths(Json& state, const sources::FileDocument& document) {
  const Files& files = document.certificates;
  for (auto& service : state["services"]) {
    for (auto& port : service["ports"]) {
      const auto tls = port.find("tls");
      if (tls == port.end()) continue;
      show_list(*tls, "certificates", files);
      show_list(*tls, "client_authorities", files);
      if (const auto backend = tls->find("backend"); backend != tls->end()) {
        show_list(*backend, "authorities", files);
      }
      const auto chosen = tls->find("default_certificate");
      if (chosen == tls->end()) continue;
      const auto found = files.find(chosen->get<std::string>());
      if (found != files.end()) *chosen = found->second.certificate;
    }
  }
}

}  // namespace lb::controller
