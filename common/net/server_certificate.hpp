// A certificate chain and its key, or the certificates of authorities, read and judged.
//
// Immutable once read, so it is shared between threads; borrowed OpenSSL objects live as long as
// it does. Follows RFC 5280 and RFC 9525. Times are seconds since 1970. Nothing of a key is ever in
// an error or a fingerprint.
#pragma once

#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/net/certificates.hpp"

struct stack_st_X509;

namespace lb::net {

// RFC 3339: "2026-01-31T12:00:00Z".
std::string utc_text(int64_t seconds);

class ServerCertificate {
 public:
  using Pointer = std::shared_ptr<const ServerCertificate>;

  // For `now_s`: whatever its dates say.
  static constexpr int64_t kAnyTime = INT64_MIN;

  // PEM. With a key: the chain, our own first. Without: authorities, who sign others. Refused as
  // "CertificateUnreadable", "KeyUnreadable" (encrypted ones too), "KeyDoesNotFit",
  // "CertificateTooWeak", "CertificateExpired", "CertificateNotYetValid".
  static Result<Pointer> read(const SignedKey& text, int64_t now_s);

  ~ServerCertificate();
  ServerCertificate(const ServerCertificate&) = delete;
  ServerCertificate& operator=(const ServerCertificate&) = delete;

  // The DNS names that it is for, in lower case, "*." of one label included; the common name where
  // there are none.
  const std::vector<std::string>& names() const { return names_; }
  Validity validity() const { return validity_; }
  // Of the certificates, and so of what the key must fit: "sha256:" and 64 hex digits.
  const std::string& fingerprint() const { return fingerprint_; }
  bool has_key() const { return key_ != nullptr; }

  X509* own() const { return certificates_.front(); }
  const std::vector<X509*>& certificates() const { return certificates_; }
  stack_st_X509* chain() const { return chain_; }  // but for our own
  EVP_PKEY* key() const { return key_; }           // null: authorities

 private:
  ServerCertificate() = default;
  Status read_certificates(const std::string& text);
  Status read_key(const std::string& text);
  Status judge(int64_t now_s) const;
  void describe();

  std::vector<X509*> certificates_;
  stack_st_X509* chain_ = nullptr;
  EVP_PKEY* key_ = nullptr;
  std::vector<std::string> names_;
  Validity validity_;
  std::string fingerprint_;
};

}  // namespace lb::net
