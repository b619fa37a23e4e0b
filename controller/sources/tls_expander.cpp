#include "controller/sources/tls_expander.hpp"

#include <algorithm>
#include <filesystem>

#include "common/model/json.hpp"
#include "common/model/json_reader.hpp"
#include "common/model/tls_policy.hpp"
#include "controller/sources/file_fields.hpp"

namespace lb::sources {
namespace {

using Json = nlohmann::json;

bool may_stand(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

std::string hex(char c) {
  constexpr char kDigits[] = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  return {'_', kDigits[byte >> 4], kDigits[byte & 15]};
}

// One part of a path; one of dots alone is none of a name.
std::string escaped(const std::string& part) {
  const bool dots = part.find_first_not_of('.') == std::string::npos;
  std::string out;
  for (const char c : part) out += may_stand(c) && !dots ? std::string(1, c) : hex(c);
  return out;
}

}  // namespace

std::string certificate_name(const std::string& path) {
  std::string out = "file";
  for (size_t begin = 0; begin < path.size();) {
    const size_t slash = std::min(path.find('/', begin), path.size());
    if (slash > begin) out += "/" + escaped(path.substr(begin, slash - begin));
    begin = slash + 1;
  }
  return out;
}

void TlsExpander::expand(Json& tls, const std::string& pointer) {
  if (!tls.is_object()) return;
  for (const char* field : {"certificates", "alpn", "client_authorities"}) {
    split(tls, field, pointer);
  }
  if (tls.contains("certificates") && !tls.contains("mode")) tls["mode"] = "terminate";
  with_keys_ = true;
  rewrite_list(tls, "certificates", pointer);
  with_keys_ = false;
  rewrite_list(tls, "client_authorities", pointer);
  if (const auto chosen = text_of(tls, "default_certificate"); !chosen.empty()) {
    const std::string here = pointer + "/default_certificate";
    tls["default_certificate"] = certificate_name(path_of(chosen, here));
  }
  const auto backend = tls.find("backend");
  if (backend == tls.end() || !backend->is_object()) return;
  split(*backend, "authorities", pointer + "/backend");
  rewrite_list(*backend, "authorities", pointer + "/backend");
}

void TlsExpander::rewrite_list(Json& value, const char* field, const std::string& pointer) {
  const auto list = value.find(field);
  if (list == value.end() || !list->is_array()) return;
  const std::string here = wire::child(pointer, field);
  for (size_t i = 0; i < list->size(); ++i) (*list)[i] = name_of((*list)[i], at(here, i));
}

std::string TlsExpander::name_of(const Json& value, const std::string& pointer) {
  CertificateFiles files;
  if (value.is_string()) {
    files.certificate = path_of(value.get<std::string>(), pointer);
    if (with_keys_) files.key = files.certificate;
    return remember(std::move(files), pointer);
  }
  if (!value.is_object() || !with_keys_) {
    refuse(pointer, with_keys_ ? "must be a path, or a map with 'certificate' and 'key'"
                               : "must be the path of a file with certificates");
  }
  known_fields(value, pointer, {"certificate", "key"});
  for (const char* field : {"certificate", "key"}) {
    const auto found = value.find(field);
    if (found == value.end()) refuse(pointer, std::string("needs '") + field + "'");
    if (!found->is_string()) refuse(wire::child(pointer, field), "must be a path");
  }
  files.certificate = path_of(text_of(value, "certificate"), pointer + "/certificate");
  files.key = path_of(text_of(value, "key"), pointer + "/key");
  return remember(std::move(files), pointer);
}

// A file that is a certificate here and an authority there is read as the former.
std::string TlsExpander::remember(CertificateFiles files, const std::string& pointer) {
  const std::string name = certificate_name(files.certificate);
  if (const auto good = check_certificate_name(name); !good) refuse(pointer, good.error().message);
  const Position where = positions_.find(pointer);
  if (where.layer < layers_.size()) files.file = layers_[where.layer].path;
  files.pointer = pointer;
  files.place = " at " + describe(where);
  const auto [known, first] = out_.emplace(name, files);
  if (first) return name;
  CertificateFiles& other = known->second;
  if (other.certificate != files.certificate) {
    refuse(pointer, "'" + files.certificate + "' and '" + other.certificate +
                        "' would have one name, '" + name + "'");
  }
  if (other.key.empty()) other.key = files.key;
  if (!files.key.empty() && files.key != other.key) {
    refuse(pointer, "'" + files.certificate + "' stands beside another key elsewhere");
  }
  return name;
}

std::string TlsExpander::path_of(const std::string& text, const std::string& pointer) const {
  if (text.empty() || text.find('\0') != std::string::npos) refuse(pointer, "must be a path");
  const size_t layer = positions_.find(pointer).layer;
  const std::filesystem::path base = layer < layers_.size() ? layers_[layer].folder : "";
  return (base / text).lexically_normal().string();
}

}  // namespace lb::sources
