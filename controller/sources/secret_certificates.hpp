// The certificates in Secrets that services name: judged, and kept while what a Secret says cannot
// be used.
//
// One thread. A Secret that has changed and is good replaces the certificate before it; one that is
// bad, gone or out of reach leaves the last good one in use, and is told with its reason. While
// nobody answers, what is there is no trouble. Keys are overwritten in memory once nobody holds
// them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "common/net/certificates.hpp"
#include "controller/core/certificate_book.hpp"
#include "controller/core/secret_names.hpp"
#include "controller/kube/secret_reader.hpp"

namespace lb::sources {

class SecretCertificates {
 public:
  // These names, of secret_names.hpp, and no others from now on; others are passed over.
  void want(const std::set<std::string>& names);
  std::set<kube::SecretName> secrets() const;
  // True: another certificate than before, or another trouble. `now_s` is in seconds since 1970.
  bool take(const kube::SecretAnswer& answer, int64_t now_s);

  plan::Certificates all() const;
  // By name of the certificate; codes of server_certificate.hpp and of secret_reader.hpp.
  plan::CertificateTroubles troubles() const;
  size_t size() const { return held_.size(); }

 private:
  struct Held {
    plan::SecretEntry entry;
    plan::CertificatePtr good;  // null: none yet
    int64_t until = 0;          // of `good`
    std::optional<Error> trouble;
  };

  static std::optional<Error> update(Held& held, const kube::SecretAnswer& answer, int64_t now_s);
  static Status judge(Held& held, const kube::SecretData& data, int64_t now_s);
  static Status replace(Held& held, const net::SignedKey& pem, int64_t now_s);

  std::map<std::string, Held> held_;
};

}  // namespace lb::sources
