// A TLS server whose bytes go out as a test has them, and that a test tells what has come.
//
// No socket; one thread. Its tickets are so long that each comes in several records.
#pragma once

#include <openssl/ssl.h>

#include <string>

#include "tests/support/tls_server.hpp"

namespace lb::test {

class TlsStutterer {
 public:
  explicit TlsStutterer(const net::SignedKey& identity)
      : context_(make_server_context({.identity = identity})) {
    SSL_CTX_set_max_send_fragment(context_.get(), kRecord);
    SSL_CTX_set_session_ticket_cb(context_.get(), &lengthen, nullptr, nullptr);
    start_again();
  }
  ~TlsStutterer() { SSL_free(ssl_); }
  TlsStutterer(const TlsStutterer&) = delete;
  TlsStutterer& operator=(const TlsStutterer&) = delete;

  // For another connection.
  void start_again() {
    SSL_free(ssl_);
    ssl_ = SSL_new(context_.get());
    SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(ssl_);
  }

  void hear(const std::string& bytes) {
    BIO_write(SSL_get_rbio(ssl_), bytes.data(), static_cast<int>(bytes.size()));
  }
  // All that it has to say by now.
  std::string take_said() {
    std::string out(BIO_ctrl_pending(SSL_get_wbio(ssl_)), '\0');
    BIO_read(SSL_get_wbio(ssl_), out.data(), static_cast<int>(out.size()));
    return out;
  }
  bool shake_hands() { return SSL_accept(ssl_) == 1; }
  // What it has been told.
  std::string read() {
    std::string out(1 << 16, '\0');
    size_t got = 0;
    SSL_read_ex(ssl_, out.data(), out.size(), &got);
    out.resize(got);
    return out;
  }
  // After a read() that met the end.
  bool ended_well() const { return (SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN) != 0; }

  // The bytes of the first record of these.
  static size_t first_record(const std::string& bytes) {
    const auto at = [&](size_t i) {
      return static_cast<size_t>(static_cast<uint8_t>(bytes.at(i)));
    };
    return 5 + (at(3) << 8 | at(4));
  }

 private:
  static constexpr long kRecord = 512;

  static int lengthen(SSL* ssl, void*) {
    const std::string more(2000, 'x');
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), more.data(), more.size());
  }

  TlsServerContext context_;
  SSL* ssl_ = nullptr;
};

}  // namespace lb::test
