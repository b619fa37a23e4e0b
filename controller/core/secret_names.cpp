#include "controller/core/secret_names.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

#include "common/model/tls_policy.hpp"

namespace lb::plan {
namespace {

constexpr char kSource[] = "kubernetes";
constexpr size_t kMaxObjectName = 253;

// RFC 1123, as the API server asks of names.
bool is_object_name(std::string_view text) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  const auto at_end = [&](char c) { return fits(c) && c != '-' && c != '.'; };
  return !text.empty() && text.size() <= kMaxObjectName && at_end(text.front()) &&
         at_end(text.back()) && std::all_of(text.begin(), text.end(), fits);
}

std::vector<std::string> parts_of(std::string_view name) {
  std::vector<std::string> out;
  for (;;) {
    const size_t slash = name.find('/');
    out.emplace_back(name.substr(0, slash));
    if (slash == std::string_view::npos) return out;
    name.remove_prefix(slash + 1);
  }
}

}  // namespace

Result<std::string> certificate_name(const SecretEntry& entry) {
  if (!is_object_name(entry.secret)) {
    return Error{"InvalidName", "'" + entry.secret + "' is no name of a Secret of this namespace"};
  }
  std::string out = std::string(kSource) + "/" + entry.ns + "/" + entry.secret;
  if (entry.authorities) out += std::string("/") + kAuthoritiesEntry;
  if (const auto good = check_certificate_name(out); !good) return good.error();
  return out;
}

std::optional<SecretEntry> secret_entry(const std::string& certificate_name) {
  auto parts = parts_of(certificate_name);
  if (parts.size() < 3 || parts.size() > 4 || parts[0] != kSource) return std::nullopt;
  const bool authorities = parts.size() == 4;
  if (authorities && parts[3] != kAuthoritiesEntry) return std::nullopt;
  return SecretEntry{std::move(parts[1]), std::move(parts[2]), authorities};
}

}  // namespace lb::plan
