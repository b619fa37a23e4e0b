// The certificates that were pushed to this data plane, by name, and what listeners end TLS with of
// them, or speak it with towards backends.
//
// Control thread only; what it hands out is immutable and any thread's. A certificate that is
// refused leaves the one before it in use.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "common/net/server_certificate.hpp"
#include "dataplane/tls/client_tls.hpp"
#include "dataplane/tls/server_tls.hpp"

namespace lb::tls {

class CertificateBook {
 public:
  using Certificates = std::map<std::string, ServerCertificate::Pointer>;

  // `now_s` since 1970. Errors as of ServerCertificate::read(), and "InvalidName".
  Result<ServerCertificate::Pointer> put(const std::string& name, const net::SignedKey& text,
                                         int64_t now_s);
  void remove(const std::string& name);
  const Certificates& all() const { return certificates_; }

  // What a port ends TLS with: the same object as before where nothing that it needs has changed.
  // `scope` tells ports apart; see ServerTls.
  Result<std::shared_ptr<const ServerTls>> terms(const std::string& scope, const TlsPolicy& policy);

  // What a port speaks TLS with towards its backends: likewise.
  Result<std::shared_ptr<const ClientTls>> backend_terms(const std::string& scope,
                                                         const BackendTls& policy);

  // Ports of which something is remembered, some of them former ones.
  size_t remembered() const { return made_.size() + made_for_backends_.size(); }

  // Names of what was put or removed since the last call.
  std::set<std::string> take_changed() { return std::exchange(changed_, {}); }

 private:
  template <class Policy, class Terms>
  struct Made {
    Policy policy;
    std::vector<NamedCertificate> of;
    std::weak_ptr<const Terms> terms;
  };
  template <class Policy, class Terms>
  using MadeByScope = std::map<std::string, Made<Policy, Terms>>;

  std::vector<NamedCertificate> known(const std::vector<std::string>& names) const;
  void forget_unused();

  Certificates certificates_;
  std::set<std::string> changed_;
  MadeByScope<TlsPolicy, ServerTls> made_;
  MadeByScope<BackendTls, ClientTls> made_for_backends_;
  size_t swept_ = 0;  // scopes that the last look at them has left
  std::shared_ptr<TicketKeys> tickets_ = std::make_shared<TicketKeys>();
};

}  // namespace lb::tls
