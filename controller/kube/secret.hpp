// A Secret as the API server tells it. Pure; any thread.
#pragma once

#include <compare>
#include <map>
#include <string>

#include "common/model/result.hpp"

namespace lb::kube {

struct SecretName {
  std::string ns, name;

  auto operator<=>(const SecretName&) const = default;
  std::string to_string() const { return ns + "/" + name; }
};

// The bytes, no longer in base64. What is no text, or no base64, is left out.
using SecretData = std::map<std::string, std::string>;

struct SecretObject {
  std::string version;  // resourceVersion; never empty
  SecretData data;
};

// "Schema": the answer is no Secret. Says nothing of what is in it.
Result<SecretObject> secret_from(const std::string& json);

}  // namespace lb::kube
