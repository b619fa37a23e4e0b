// Mutual TLS between programs of ours: who we are, and whose certificates we take.
//
// PEM, in files or in memory; TLS 1.2 and later; both sides show a certificate that the authority
// has signed, for the name that is expected and, where it says what it is for (RFC 5280 §4.2.1.12),
// for the side that shows it. Files are looked at again, at most once a second, when a connection
// begins, so that a rotated certificate serves the next connection; one that cannot be used leaves
// the last good one in place and is counted. One thread. Errors are "Tls" with the file and
// OpenSSL's reason; nothing of a key is ever in them.
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

// The same as text.
struct TlsText {
  std::string certificate;
  std::string key;
  std::string authority;

  bool operator==(const TlsText&) const = default;
};

// What the certificates of our own programs are for, unless flags say otherwise.
inline constexpr char kDataplaneName[] = "dataplane.empalme";
inline constexpr char kControllerName[] = "controller.empalme";

enum class TlsRole : uint8_t { kServer, kClient };

class TlsIdentity {
 public:
  using Context = boost::asio::ssl::context;

  // `peer_name` is a DNS name among the subject alternative names of the other side's certificate.
  // Empty: for a client the address that it connects to, for a server whoever the authority signed.
  // A client may do without certificate and key, and is nobody then.
  static Result<std::shared_ptr<TlsIdentity>> load(TlsFiles files, TlsRole role,
                                                   std::string peer_name = {});
  // Nobody yet, until replace().
  static std::shared_ptr<TlsIdentity> unset(TlsRole role, std::string peer_name);

  // Serves the next connection; on an error the last good one does.
  Status replace(const TlsText& text);

  // What the next connection shall use; null: there is nothing yet.
  std::shared_ptr<Context> current();
  const std::string& peer_name() const { return peer_name_; }
  uint64_t reloads() const { return reloads_; }
  uint64_t reload_failures() const { return reload_failures_; }

  // Use load().
  TlsIdentity(TlsFiles files, TlsRole role, std::string peer_name);

 private:
  Status read();
  Status use(const TlsText& text, const TlsFiles& names);
  Status show(const TlsText& text, const TlsFiles& names, Context& context);
  bool anonymous(const std::string& certificate, const std::string& key) const;
  std::string stamp() const;

  const TlsFiles files_;
  const TlsRole role_;
  const std::string peer_name_;
  std::shared_ptr<Context> context_;
  std::string stamp_;  // of the files when they were last read
  std::chrono::steady_clock::time_point looked_{};
  uint64_t reloads_ = 0;
  uint64_t reload_failures_ = 0;
};

}  // namespace lb::net
