// What terms towards clients and towards backends share: certificates by name, and how OpenSSL is
// set up. Any thread; nothing here keeps anything.
#pragma once

#include <openssl/types.h>

#include <string>
#include <vector>

#include "common/net/server_certificate.hpp"

namespace lb::tls {

using net::ServerCertificate;

// Of a list that is sorted by name; those that are missing are not in it.
struct NamedCertificate {
  std::string name;
  ServerCertificate::Pointer certificate;

  bool operator==(const NamedCertificate&) const = default;
};

// Null: it is missing.
ServerCertificate::Pointer find_in(const std::vector<NamedCertificate>& known,
                                   const std::string& name);

// Has `context` trust whoever is named, and gives them. Error: "CertificateMissing", or "Tls" with
// OpenSSL's reason.
Result<std::vector<ServerCertificate::Pointer>> trust_in(
    SSL_CTX* context, const std::vector<std::string>& names,
    const std::vector<NamedCertificate>& known);

// The names of protocols as they stand in a hello (RFC 7301, section 3.1).
std::vector<unsigned char> as_in_hello(const std::vector<std::string>& protocols);

// TLS 1.2 with forward secrecy and authenticated ciphers only, and TLS 1.3; no renegotiation, no
// compression; for streams (tls_stream.hpp). False: see failure().
bool set_common_terms(SSL_CTX* context);

// "Tls", with OpenSSL's oldest complaint of this thread.
Error failure(const char* what);

}  // namespace lb::tls
