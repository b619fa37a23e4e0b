// Certificates on the wire and on disk: JSON texts.
//
// Pure; any thread. Errors as of the state's codec ("Syntax", "Schema", ...), with a JSON pointer.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "common/net/server_certificate.hpp"

namespace lb::dataplane {

inline constexpr size_t kMaxCertificateBytes = 1 << 20;

// {"certificate": PEM, "key": PEM}, the key absent for authorities.
Result<net::SignedKey> decode_certificate(std::string_view text);

// Never with its key: {"name", "fingerprint", "names", "not_before", "not_after"}.
std::string encode_certificate(const std::string& name, const net::ServerCertificate& certificate);
// {"certificates": [...]}.
std::string encode_certificates(
    const std::map<std::string, net::ServerCertificate::Pointer>& certificates);

}  // namespace lb::dataplane
