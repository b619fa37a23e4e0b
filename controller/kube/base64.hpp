// Base64 (RFC 4648 §4), as kubeconfig files and Secrets carry bytes. Pure; any thread.
#pragma once

#include <optional>
#include <string>

namespace lb::kube {

std::string encode_base64(const std::string& bytes);
// Blanks and line ends within are skipped; nullopt: it is none.
std::optional<std::string> decode_base64(const std::string& text);

}  // namespace lb::kube
