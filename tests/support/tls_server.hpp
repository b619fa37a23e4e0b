// A TLS server's end of one connection, for tests: blocking, over a socket that is accepted
// already.
//
// One thread at a time. OpenSSL's failures are results; only a lack of memory aborts.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <vector>

#include "common/net/certificates.hpp"

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

class TlsServer {
 public:
  TlsServer(int socket, TlsServerContext context);
  ~TlsServer();
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  bool shake_hands();
  // Everything, or false.
  bool write(const std::string& text);
  // `size` bytes, or what comes before the end.
  std::string read(size_t size);
  std::string read_to_end();
  // close_notify; reading goes on.
  void finish();
  // Has the client use new keys, after new ones of ours.
  bool change_keys();

  int alert() const { return alert_; }  // that the client has sent; 0: none
  bool ended_well() const;              // the end came by close_notify
  bool resumed() const;
  std::string server_name() const;                  // that the client asked for
  std::string protocol() const;                     // by ALPN
  std::string offered() const { return offered_; }  // as it stood in the hello; empty: nothing

 private:
  static void on_info(const SSL* ssl, int where, int value);
  static int on_hello(SSL* ssl, int* alert, void* unused);

  TlsServerContext context_;
  SSL* ssl_;
  int alert_ = 0;
  std::string offered_;
};

}  // namespace lb::test
