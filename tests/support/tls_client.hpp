// A TLS client's end of one connection, for tests. Threads and errors: see tls_end.hpp.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <vector>

#include "common/net/certificates.hpp"
#include "tests/support/tls_end.hpp"

struct ssl_session_st;

namespace lb::test {

struct TlsClientOptions {
  std::string server_name = {};        // empty: none is asked for
  std::vector<std::string> alpn = {};  // empty: none is offered
  net::SignedKey identity = {};        // empty: none is shown
  int max_version = 0;                 // as OpenSSL numbers them; 0: the newest
  ssl_session_st* session = nullptr;   // to be resumed; borrowed
};

class TlsClient : public TlsEnd {
 public:
  explicit TlsClient(int socket, const TlsClientOptions& options = {});

  // False: it failed; see alert().
  bool shake_hands();
  // With TLS 1.2. False: it was refused.
  bool renegotiate();
  std::string common_name() const;  // of the server's certificate
  // The newest ticket; the caller frees it. Null: none has come.
  ssl_session_st* session();
};

}  // namespace lb::test
