// Rewrites `tls` of a configuration file into the wire's schema: paths of certificates become
// names, and what stands behind each name goes aside.
//
// Inside lb_file_document only; refusals are thrown, see file_fields.hpp. Pure; one thread.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "controller/sources/file_document.hpp"
#include "controller/sources/yaml_json.hpp"

namespace lb::sources {

class TlsExpander {
 public:
  // All three outlive it.
  TlsExpander(const PositionMap& positions, const std::vector<FileLayer>& layers,
              std::map<std::string, CertificateFiles>& out)
      : positions_(positions), layers_(layers), out_(out) {}

  void expand(nlohmann::json& tls, const std::string& pointer);

 private:
  void rewrite_list(nlohmann::json& value, const char* field, const std::string& pointer);
  std::string name_of(const nlohmann::json& value, const std::string& pointer);
  std::string remember(CertificateFiles files, const std::string& pointer);
  std::string path_of(const std::string& text, const std::string& pointer) const;

  const PositionMap& positions_;
  const std::vector<FileLayer>& layers_;
  std::map<std::string, CertificateFiles>& out_;
  bool with_keys_ = false;  // what is being rewritten are no authorities
};

// "file/" and the path, as names of certificates may be written.
std::string certificate_name(const std::string& path);

}  // namespace lb::sources
