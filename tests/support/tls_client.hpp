// A TLS client for tests, blocking, over a socket that is connected already.
//
// One thread. OpenSSL's failures are results; only a lack of memory aborts.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <vector>

#include "common/net/certificates.hpp"

struct ssl_session_st;

namespace lb::test {

struct TlsClientOptions {
  std::string server_name = {};        // empty: none is asked for
  std::vector<std::string> alpn = {};  // empty: none is offered
  net::SignedKey identity = {};        // empty: none is shown
  int max_version = 0;                 // as OpenSSL numbers them; 0: the newest
  ssl_session_st* session = nullptr;   // to be resumed; borrowed
};

class TlsClient {
 public:
  explicit TlsClient(int socket, const TlsClientOptions& options = {});
  ~TlsClient();
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  // False: it failed; see alert().
  bool shake_hands();
  // Everything, or false.
  bool write(const std::string& text);
  // `size` bytes, or what comes before the end.
  std::string read(size_t size);
  std::string read_to_end();
  // close_notify; reading goes on.
  void finish();
  // Tells the other side to use new keys, and to answer with new ones of its own (RFC 8446,
  // section 4.6.3).
  bool change_keys();
  // With TLS 1.2. False: it was refused.
  bool renegotiate();

  // That the server has sent, as a number of RFC 8446, section 6; 0: none.
  int alert() const { return alert_; }
  // The end came by close_notify.
  bool ended_well() const;
  bool resumed() const;
  std::string protocol() const;     // by ALPN
  std::string common_name() const;  // of the server's certificate
  // The newest ticket; the caller frees it. Null: none has come.
  ssl_session_st* session();

 private:
  static void on_info(const SSL* ssl, int where, int value);

  SSL_CTX* context_;
  SSL* ssl_;
  int alert_ = 0;
};

}  // namespace lb::test
