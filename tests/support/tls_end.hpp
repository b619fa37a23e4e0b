// What both ends of a TLS connection do once they are made, for tests: blocking, over a socket
// that is connected already and stays its owner's.
//
// One thread at a time. OpenSSL's failures are results; only a lack of memory aborts.
#pragma once

#include <openssl/types.h>

#include <string>
#include <vector>

namespace lb::test {

class TlsEnd {
 public:
  TlsEnd(const TlsEnd&) = delete;
  TlsEnd& operator=(const TlsEnd&) = delete;

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

  // That the other side has sent, as a number of RFC 8446, section 6; 0: none.
  int alert() const { return alert_; }
  // The end came by close_notify.
  bool ended_well() const;
  bool resumed() const;
  std::string protocol() const;  // by ALPN

 protected:
  TlsEnd(int socket, SSL_CTX* context);
  ~TlsEnd();

  SSL* ssl() const { return ssl_; }
  static TlsEnd& of(const SSL* ssl);

 private:
  static void on_info(const SSL* ssl, int where, int value);

  SSL* ssl_;
  int alert_ = 0;
};

// As both the hello and OpenSSL's setters want it: each with its length before it.
std::string as_offered(const std::vector<std::string>& protocols);
const unsigned char* bytes_of(const std::string& text);

}  // namespace lb::test
