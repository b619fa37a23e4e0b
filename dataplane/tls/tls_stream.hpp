// TLS on one socket, as its server or its client: bytes of the peer's are read from the socket and
// decrypted, bytes for it are encrypted into a buffer of the caller's, who sends them.
//
// No event loop and no sending inside, so nothing here ever waits for the peer to take something.
// The socket is borrowed, non-blocking, and read edge-triggered (epoll(7)): after a short read it
// is taken for empty until wake(). A peer that keeps us busy with new keys, or wants to
// renegotiate, has failed. One thread. Throws std::bad_alloc only; TLS's own failures are outcomes,
// with the alert that the peer should get in the buffer.
#pragma once

#include <openssl/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "dataplane/tls/client_tls.hpp"
#include "dataplane/tls/server_tls.hpp"

namespace lb::tls {

enum class Outcome : uint8_t {
  kDone,
  kMore,     // the turn is used up
  kWaiting,  // for more of the peer's bytes
  kEnded,    // by close_notify (RFC 8446, section 6.1)
  kCutOff,   // by FIN without it
  kFailed,   // by a reset, or by what is no TLS
};

// Why a handshake failed, as far as that is worth a counter of its own; the certificate is that of
// the peer.
enum class HandshakeError : uint8_t { kOther, kUnknownName, kNoProtocol, kCertificate };

class TlsStream {
 public:
  static std::unique_ptr<TlsStream> accept(std::shared_ptr<const ServerTls> terms, int socket);
  // As a client of `backend`, which may agree on `protocol` or on none; empty: none is offered.
  static std::unique_ptr<TlsStream> connect(std::shared_ptr<const ClientTls> terms, int socket,
                                            const Endpoint& backend, std::string_view protocol);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // More may have come. `end_in_sight`: short reads empty nothing from now on; see Direction.
  void wake(bool end_in_sight);
  // So much is read from the socket until the next call: others are to have their turn too.
  void allow(size_t bytes) { allowed_ = bytes; }

  // What is to be sent is appended to `wire` by these, whatever they return.
  Outcome shake_hands(std::string& wire);
  // While a message of the peer's to TLS itself is half here what is to be said is held back, until
  // a later read() leaves it in take_reply(). False: the connection is of no use any more.
  bool write(const char* data, size_t size, std::string& wire);
  // close_notify, the first time; not while holds_back().
  void finish(std::string& wire);
  // Something of ours is still to come, once more of the peer's has been read.
  bool holds_back() const;
  // kDone: `*got` bytes, at least one. Now and then TLS has something to say to that: see
  // take_reply().
  Outcome read(char* data, size_t size, size_t* got);
  // Is to be sent before anything that write() makes from now on.
  std::string take_reply() { return std::exchange(reply_, {}); }
  bool has_reply() const { return !reply_.empty(); }
  // Something of the peer's has left the socket and was not given out yet.
  bool holds_more() const;

  // For SSL_CTX_set_msg_callback.
  static void on_message(int sending, int version, int type, const void* data, size_t size,
                         SSL* ssl, void* self);

  HandshakeError handshake_error() const { return error_; }
  // Of OpenSSL's, what the handshake or the last read has failed for; lives for ever. Null: TLS has
  // nothing to complain of.
  const char* complaint() const { return complaint_; }
  // The backend that this is a client of; none: it is a server.
  const std::optional<Endpoint>& peer() const { return peer_; }
  // When the whole handshake was that an offered session goes back to, in seconds since 1970; 0:
  // none was offered.
  int64_t session_begun_s() const { return session_begun_s_; }
  // The last read met a FIN without close_notify: what came may be a part of what was meant.
  bool cut_off() const { return cut_off_; }
  // The peer has reset the connection, or the way to it is broken: no offence against TLS.
  bool socket_failed() const { return socket_failed_; }
  bool resumed() const;
  const char* version() const;           // "TLSv1.3"
  std::string_view server_name() const;  // that the client asked for; empty: none
  std::string_view protocol() const;     // by ALPN; empty: none

 private:
  class Bio;

  TlsStream(std::shared_ptr<const void> terms, SSL* ssl, int socket)
      : terms_(std::move(terms)), ssl_(ssl), socket_(socket) {}
  static std::unique_ptr<TlsStream> wrap(std::shared_ptr<const void> terms, SSL* ssl, int socket);
  Outcome read_once(char* data, size_t size, size_t* got);
  bool hold(const char* data, size_t size);
  Outcome outcome(int returned);
  bool speaks_another() const;
  void note_handshake_error();
  void note_complaint();

  const std::shared_ptr<const void> terms_;  // of `ssl_`, which they outlive
  SSL* const ssl_;
  const int socket_;
  std::optional<Endpoint> peer_;
  int64_t session_begun_s_ = 0;
  std::string offered_;          // to a backend
  std::string* wire_ = nullptr;  // for the length of a call
  std::string reply_;
  std::string unsaid_;  // held back, in plain
  HandshakeError error_ = HandshakeError::kOther;
  const char* complaint_ = nullptr;
  bool cut_off_ = false;
  bool emptied_ = false;
  bool end_in_sight_ = false;
  bool fin_ = false;
  bool socket_failed_ = false;
  bool out_of_memory_ = false;
  bool secured_ = false;
  bool finished_ = false;
  bool offends_ = false;  // the peer does what no honest one does
  uint8_t messages_ = 0;  // of the protocol's own, in a row
  size_t allowed_ = SIZE_MAX;
};

}  // namespace lb::tls
