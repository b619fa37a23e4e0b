// What a listener ends TLS with: its certificates by server name, its protocols, its tickets, and
// whose certificates clients must show (each time: there are no tickets then).
//
// Immutable and shared by workers; a connection keeps the one that it began with, so certificates
// are replaced without one being dropped. TLS 1.2 with forward secrecy and authenticated ciphers
// only, and TLS 1.3 (RFC 8446, RFC 9325); server names by RFC 6066, section 3, wildcards by RFC
// 9525, section 6.3; ALPN by RFC 7301. No early data, no renegotiation, no compression.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/model/tls_policy.hpp"
#include "dataplane/tls/common_terms.hpp"
#include "dataplane/tls/ticket_keys.hpp"

namespace lb::tls {

class ServerTls {
 public:
  // `scope` says whose tickets are good here: nobody else's are. Errors: "CertificateMissing" with
  // none of its certificates, or without an authority that it needs; "Tls" with OpenSSL's reason.
  static Result<std::shared_ptr<const ServerTls>> make(const TlsPolicy& policy,
                                                       const std::vector<NamedCertificate>& known,
                                                       std::shared_ptr<TicketKeys> tickets,
                                                       const std::string& scope);
  ~ServerTls();
  ServerTls(const ServerTls&) = delete;
  ServerTls& operator=(const ServerTls&) = delete;

  // Of its certificates, those that are not there.
  const std::vector<std::string>& missing() const { return missing_; }

  // For one connection; the caller frees it. Null: no memory.
  SSL* open() const;

 private:
  using Certificates = std::vector<ServerCertificate::Pointer>;

  ServerTls() = default;
  Status set_up(const TlsPolicy& policy, const std::string& scope);
  Status take_certificates(const TlsPolicy& policy, const std::vector<NamedCertificate>& known);
  Status take_authorities(const TlsPolicy& policy, const std::vector<NamedCertificate>& known);
  void set_scope(const std::string& scope);

  // Those for a name that a client asks for, else the default ones; null: it is refused.
  const Certificates* find(std::string_view name) const;

  static int on_server_name(SSL* ssl, int* alert, void* self);
  static int on_certificate(SSL* ssl, void* self);
  static int on_protocols(SSL* ssl, const unsigned char** out, unsigned char* out_size,
                          const unsigned char* in, unsigned in_size, void* self);
  static int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                       EVP_MAC_CTX* mac, int sealing);

  SSL_CTX* context_ = nullptr;
  std::shared_ptr<TicketKeys> tickets_;
  std::vector<unsigned char> protocols_;  // as they stand in a hello; ours first
  std::unordered_map<std::string, Certificates> by_name_;
  std::vector<std::string> missing_;
  Certificates default_;  // empty: those who ask for no name of ours are refused
  std::vector<ServerCertificate::Pointer> authorities_;
};

}  // namespace lb::tls
