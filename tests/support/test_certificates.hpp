// A certificate authority for tests: makes keys and certificates and writes them as PEM files.
#pragma once

#include <filesystem>
#include <string>

#include "common/net/tls.hpp"

namespace lb::test {

class TestAuthority {
 public:
  // Files go into `folder`, which must exist.
  explicit TestAuthority(std::filesystem::path folder, const std::string& name = "authority");
  ~TestAuthority();
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;

  // A fresh key and a certificate for it; `subject_names` as OpenSSL writes them, for example
  // "IP:127.0.0.1" or "DNS:lb.example".
  net::TlsFiles issue(const std::string& name, const std::string& subject_names);

 private:
  struct Parts;

  std::filesystem::path folder_;
  std::string name_;
  Parts* parts_;
};

}  // namespace lb::test
