// A TLS server's end of one connection, for tests. Threads and errors: see tls_end.hpp.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <vector>

#include "common/net/certificates.hpp"
#include "tests/support/tls_end.hpp"

namespace lb::test {

struct TlsServerOptions {
  net::SignedKey identity = {};
  std::vector<std::string> alpn = {};  // empty: no protocol is agreed on; others are refused
  std::string forced_protocol = {};    // is picked whatever was offered
  std::string client_authority = {};   // clients must show a certificate; empty: they need none
  int max_version = 0;                 // as OpenSSL numbers them; 0: the newest
};

// What connections of one server share, its tickets among that.
using TlsServerContext = std::shared_ptr<SSL_CTX>;
TlsServerContext make_server_context(const TlsServerOptions& options);

class TlsServer : public TlsEnd {
 public:
  TlsServer(int socket, TlsServerContext context);

  bool shake_hands();
  std::string server_name() const;                  // that the client asked for
  std::string offered() const { return offered_; }  // as it stood in the hello; empty: nothing

 private:
  static int on_hello(SSL* ssl, int* alert, void* unused);

  TlsServerContext context_;
  std::string offered_;
};

}  // namespace lb::test
