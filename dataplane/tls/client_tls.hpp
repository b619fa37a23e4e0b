// What a listener speaks TLS with towards its backends: for which name their certificates must be,
// and who must have signed them.
//
// Immutable and shared by workers, but for the sessions that may be taken up again: these are of
// one object's terms only, so that none outlives an authority. Names are verified by RFC 9525 (of
// the alternative names only), chains by RFC 5280.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/tls_policy.hpp"
#include "dataplane/tls/common_terms.hpp"
#include "dataplane/tls/session_store.hpp"

namespace lb::tls {

class ClientTls {
 public:
  // Errors: "CertificateMissing" without one of its authorities; "Tls" with OpenSSL's reason.
  static Result<std::shared_ptr<const ClientTls>> make(const BackendTls& policy,
                                                       const std::vector<NamedCertificate>& known);
  ~ClientTls();
  ClientTls(const ClientTls&) = delete;
  ClientTls& operator=(const ClientTls&) = delete;

  struct Opened {
    SSL* ssl = nullptr;   // the caller frees it; null: no memory
    int64_t begun_s = 0;  // the whole handshake that its session goes back to; 0: it has none
  };
  // For one connection to that backend, which is offered `protocol` (ALPN) and no other; empty:
  // none.
  Opened open(const Endpoint& backend, std::string_view protocol) const;

 private:
  ClientTls() = default;
  Status set_up(const BackendTls& policy);
  Status take_authorities(const BackendTls& policy, const std::vector<NamedCertificate>& known);
  Status verify_for(const std::string& name);

  static int on_session(SSL* ssl, ssl_session_st* session);

  SSL_CTX* context_ = nullptr;
  std::string server_name_;
  mutable SessionStore sessions_;
};

}  // namespace lb::tls
