// Mutual TLS between programs of ours: who we are, and whose certificates we take.
//
// PEM files; TLS 1.2 and later; both sides show a certificate that the authority has signed. The
// files are looked at again, at most once a second, when a connection begins, so that a rotated
// certificate serves the next connection; one that cannot be used leaves the last good one in
// place and is counted. One thread. Errors are "Tls" with the file and OpenSSL's reason; nothing
// of a key is ever in them.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "common/model/result.hpp"

namespace boost::asio::ssl {
class context;
}

namespace lb::net {

struct TlsFiles {
  std::string certificate;  // the chain, our own first
  std::string key;
  std::string authority;  // may hold several

  bool any() const { return !certificate.empty() || !key.empty() || !authority.empty(); }
  bool all() const { return !certificate.empty() && !key.empty() && !authority.empty(); }
};

enum class TlsRole : uint8_t { kServer, kClient };

class TlsIdentity {
 public:
  using Context = boost::asio::ssl::context;

  // `server_name` is what the client finds in the server's certificate: a DNS name; empty for the
  // address that it connects to.
  static Result<std::shared_ptr<TlsIdentity>> load(TlsFiles files, TlsRole role,
                                                   std::string server_name = {});

  // What the next connection shall use.
  std::shared_ptr<Context> current();
  const std::string& server_name() const { return server_name_; }
  uint64_t reloads() const { return reloads_; }
  uint64_t reload_failures() const { return reload_failures_; }

  // Use load().
  TlsIdentity(TlsFiles files, TlsRole role, std::string server_name);

 private:
  Status read();
  std::string stamp() const;

  const TlsFiles files_;
  const TlsRole role_;
  const std::string server_name_;
  std::shared_ptr<Context> context_;
  std::string stamp_;  // of the files when they were last read
  std::chrono::steady_clock::time_point looked_{};
  uint64_t reloads_ = 0;
  uint64_t reload_failures_ = 0;
};

}  // namespace lb::net
