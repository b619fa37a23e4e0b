// Makes the certificates of a small authority of our own, and judges those that there are.
//
// Pure but for randomness: text in, text out, no file, no clock. Keys are ECDSA P-256, PEM
// (PKCS #8); certificates follow RFC 5280. Times are seconds since 1970. One certificate or one key
// per text where a single one is meant; a bundle is several certificates, one after another. Errors
// are "Certificate"; nothing of a key is ever in them. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/result.hpp"

namespace lb::net {

struct SignedKey {
  std::string certificate;
  std::string key;

  bool empty() const { return certificate.empty() || key.empty(); }
  bool operator==(const SignedKey&) const = default;
};

struct Validity {
  int64_t from = 0;
  int64_t until = 0;

  bool operator==(const Validity&) const = default;
};

enum class CertificateUse : uint8_t { kServer, kClient };

Result<SignedKey> make_authority(const std::string& common_name, Validity validity);

// A fresh key for the DNS name, good for that one side of a connection only.
Result<SignedKey> issue(const SignedKey& authority, const std::string& dns_name, CertificateUse use,
                        Validity validity);

Result<Validity> validity_of(std::string_view certificate);

// Does the certificate fit its key, come from this authority, name `dns_name` and serve `use`? Its
// dates are not looked at.
bool fits(const SignedKey& what, std::string_view authority, const std::string& dns_name,
          CertificateUse use);

}  // namespace lb::net
