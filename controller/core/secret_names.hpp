// How certificates that Kubernetes Secrets hold are called on their way to data planes.
//
// "kubernetes/NAMESPACE/NAME" is the chain and key of a Secret of type kubernetes.io/tls,
// "kubernetes/NAMESPACE/NAME/ca.crt" the authorities in one. Pure; any thread.
#pragma once

#include <optional>
#include <string>

#include "common/model/result.hpp"

namespace lb::plan {

inline constexpr char kAuthoritiesEntry[] = "ca.crt";

struct SecretEntry {
  std::string ns, secret;
  bool authorities = false;

  bool operator==(const SecretEntry&) const = default;
};

// "InvalidName": no Secret can be called that, or the whole is too long for a certificate's name.
Result<std::string> certificate_name(const SecretEntry& entry);
// nullopt: it stands for no Secret.
std::optional<SecretEntry> secret_entry(const std::string& certificate_name);

}  // namespace lb::plan
