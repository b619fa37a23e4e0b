// TLS on one socket, as its server: bytes of the peer's are read from the socket and decrypted,
// bytes for it are encrypted into a buffer of the caller's, who sends them.
//
// No event loop and no sending inside, so nothing here ever waits for the peer to take something.
// The socket is borrowed, non-blocking, and read edge-triggered (epoll(7)): after a short read it
// is taken for empty until wake(). One thread. Throws std::bad_alloc only; TLS's own failures are
// outcomes, with the alert that the peer should get in the buffer.
#pragma once

#include <openssl/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "dataplane/tls/server_tls.hpp"

namespace lb::tls {

enum class Outcome : uint8_t {
  kDone,
  kWaiting,  // for more of the peer's bytes
  kEnded,    // by close_notify (RFC 8446, section 6.1)
  kCutOff,   // by FIN without it
  kFailed,   // by a reset, or by what is no TLS
};

// Why a handshake failed, as far as that is worth a counter of its own.
enum class HandshakeError : uint8_t { kOther, kUnknownName, kNoProtocol, kClientCertificate };

class TlsStream {
 public:
  // Null: no memory. `end_in_sight`: see Direction.
  static std::unique_ptr<TlsStream> accept(std::shared_ptr<const ServerTls> terms, int socket);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // More may have come. `end_in_sight`: short reads empty nothing from now on.
  void wake(bool end_in_sight);

  // What is to be sent is appended to `wire` by these, whatever they return.
  Outcome shake_hands(std::string& wire);
  // False: the connection is of no use any more.
  bool write(const char* data, size_t size, std::string& wire);
  // close_notify.
  void finish(std::string& wire);
  // kDone: `*got` bytes, at least one. Now and then TLS has something to say to that: see
  // take_reply().
  Outcome read(char* data, size_t size, size_t* got);
  // Is to be sent before anything that write() makes from now on.
  std::string take_reply() { return std::exchange(reply_, {}); }
  bool has_reply() const { return !reply_.empty(); }

  HandshakeError handshake_error() const { return error_; }
  // The peer has reset the connection, or the way to it is broken: no offence against TLS.
  bool socket_failed() const { return socket_failed_; }
  bool resumed() const;
  const char* version() const;           // "TLSv1.3"
  std::string_view server_name() const;  // that the client asked for; empty: none
  std::string_view protocol() const;     // by ALPN; empty: none

 private:
  class Bio;

  TlsStream(std::shared_ptr<const ServerTls> terms, SSL* ssl, int socket)
      : terms_(std::move(terms)), ssl_(ssl), socket_(socket) {}
  Outcome outcome(int returned);
  void note_handshake_error();

  const std::shared_ptr<const ServerTls> terms_;
  SSL* const ssl_;
  const int socket_;
  std::string* wire_ = nullptr;  // for the length of a call
  std::string reply_;
  HandshakeError error_ = HandshakeError::kOther;
  bool emptied_ = false;
  bool end_in_sight_ = false;
  bool fin_ = false;
  bool socket_failed_ = false;
  bool out_of_memory_ = false;
};

}  // namespace lb::tls
