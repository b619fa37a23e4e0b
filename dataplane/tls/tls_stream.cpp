#include "dataplane/tls/tls_stream.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <new>
#include <utility>

namespace lb::tls {
namespace {

constexpr size_t kMostUnsaid = 256 << 10;
constexpr uint8_t kMostMessages = 16;  // new keys, in a row, with nothing to say in between

}  // namespace

// OpenSSL's way to the socket: reading from it, and writing to the caller's buffer.
class TlsStream::Bio {
 public:
  static BIO* make(TlsStream* stream) {
    const BIO_METHOD* how = method();
    BIO* out = how == nullptr ? nullptr : BIO_new(how);
    if (out == nullptr) return nullptr;
    BIO_set_data(out, stream);
    BIO_set_init(out, 1);
    return out;
  }

 private:
  // Tried again where memory was lacking. Null: it still is.
  static const BIO_METHOD* method() {
    static std::atomic<BIO_METHOD*> known{nullptr};
    if (BIO_METHOD* out = known.load()) return out;
    BIO_METHOD* made = make_method();
    BIO_METHOD* out = nullptr;
    if (made == nullptr || known.compare_exchange_strong(out, made)) return made;
    BIO_meth_free(made);
    return out;
  }

  static BIO_METHOD* make_method() {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    if (method == nullptr) return nullptr;
    BIO_meth_set_read(method, &Bio::read);
    BIO_meth_set_write(method, &Bio::write);
    BIO_meth_set_ctrl(method, &Bio::control);
    return method;
  }

  static int read(BIO* bio, char* data, int size) {
    auto& stream = *static_cast<TlsStream*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (stream.offends_) return -1;
    while (!stream.emptied_ && stream.allowed_ > 0) {
      const ssize_t got = ::recv(stream.socket_, data, size_t(size), 0);
      if (got < 0 && errno == EINTR) continue;
      stream.socket_failed_ = got < 0 && errno != EAGAIN;
      if (stream.socket_failed_) return -1;
      stream.fin_ = got == 0;
      stream.emptied_ = got < 0 || (got > 0 && got < size && !stream.end_in_sight_);
      stream.allowed_ -= std::min(stream.allowed_, size_t(std::max<ssize_t>(got, 0)));
      if (got >= 0) return int(got);
    }
    BIO_set_retry_read(bio);
    return -1;
  }

  static int write(BIO* bio, const char* data, int size) {
    auto& stream = *static_cast<TlsStream*>(BIO_get_data(bio));
    try {
      stream.wire_->append(data, size_t(size));
      return size;
    } catch (const std::bad_alloc&) {
      stream.out_of_memory_ = true;
      return -1;
    }
  }

  static long control(BIO*, int what, long, void*) { return what == BIO_CTRL_FLUSH ? 1 : 0; }
};

std::unique_ptr<TlsStream> TlsStream::accept(std::shared_ptr<const ServerTls> terms, int socket) {
  SSL* ssl = terms->open();
  auto out = wrap(std::move(terms), ssl, socket);
  SSL_set_accept_state(ssl);
  return out;
}

std::unique_ptr<TlsStream> TlsStream::connect(std::shared_ptr<const ClientTls> terms, int socket,
                                              const Endpoint& backend, std::string_view protocol) {
  const auto opened = terms->open(backend, protocol);
  auto out = wrap(std::move(terms), opened.ssl, socket);
  out->session_begun_s_ = opened.begun_s;
  out->peer_ = backend;
  out->offered_ = protocol;
  SSL_set_connect_state(opened.ssl);
  return out;
}

// `ssl` is the stream's; null: no memory.
std::unique_ptr<TlsStream> TlsStream::wrap(std::shared_ptr<const void> terms, SSL* ssl,
                                           int socket) {
  if (ssl == nullptr) throw std::bad_alloc();
  std::unique_ptr<TlsStream> out;
  try {
    out.reset(new TlsStream(std::move(terms), ssl, socket));
  } catch (const std::bad_alloc&) {
    SSL_free(ssl);
    throw;
  }
  BIO* bio = Bio::make(out.get());
  if (bio == nullptr) throw std::bad_alloc();
  SSL_set_bio(ssl, bio, bio);
  SSL_set_app_data(ssl, out.get());
  SSL_set_msg_callback_arg(ssl, out.get());
  return out;
}

// A session whose connection ends without close_notify would count as one of ill repute (RFC 2246,
// section 7.2.1, until RFC 5246 took that back), and clients may end as they like.
TlsStream::~TlsStream() {
  if (peer_) SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(ssl_);
}

void TlsStream::wake(bool end_in_sight) {
  emptied_ = false;
  end_in_sight_ = end_in_sight_ || end_in_sight;
}

Outcome TlsStream::outcome(int returned) {
  const int why = SSL_get_error(ssl_, returned);
  if (std::exchange(out_of_memory_, false)) throw std::bad_alloc();
  if (offends_) return Outcome::kFailed;
  if (why == SSL_ERROR_WANT_READ) return emptied_ ? Outcome::kWaiting : Outcome::kMore;
  if (why == SSL_ERROR_ZERO_RETURN) return Outcome::kEnded;
  return fin_ ? Outcome::kCutOff : Outcome::kFailed;
}

Outcome TlsStream::shake_hands(std::string& wire) {
  wire_ = &wire;
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_);
  if (done == 1) {
    if (speaks_another()) {
      error_ = HandshakeError::kNoProtocol;
      complaint_ = "another protocol than the one that was offered (ALPN)";
      return Outcome::kFailed;
    }
    secured_ = true;
    return Outcome::kDone;
  }
  const Outcome out = outcome(done);
  if (out != Outcome::kWaiting) note_handshake_error();
  return out;
}

// Bytes of one protocol would be taken for those of another.
bool TlsStream::speaks_another() const {
  return peer_ && !protocol().empty() && protocol() != offered_;
}

// Our own want of memory is nobody's fault.
void TlsStream::note_handshake_error() {
  if (ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE) {
    ERR_clear_error();
    throw std::bad_alloc();
  }
  note_complaint();
  switch (ERR_GET_REASON(ERR_peek_error())) {
    case SSL_R_CLIENTHELLO_TLSEXT:
    case SSL_R_CALLBACK_FAILED:
      error_ = HandshakeError::kUnknownName;
      break;
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
      error_ = HandshakeError::kNoProtocol;
      break;
    case SSL_R_BAD_EXTENSION:
      // What newer versions of OpenSSL call a protocol that was not offered.
      if (!offered_.empty()) error_ = HandshakeError::kNoProtocol;
      break;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
      error_ = HandshakeError::kCertificate;
      break;
    default:
      break;
  }
  ERR_clear_error();
}

// A certificate that cannot be verified has a reason of its own.
void TlsStream::note_complaint() {
  const unsigned long error = ERR_peek_error();
  const long verified = SSL_get_verify_result(ssl_);
  const bool unverified =
      ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK;
  complaint_ =
      unverified ? X509_verify_cert_error_string(verified) : ERR_reason_error_string(error);
}

Outcome TlsStream::read(char* data, size_t size, size_t* got) {
  const Outcome out = read_once(data, size, got);
  if (unsaid_.empty() || out == Outcome::kFailed) return out;
  const std::string text = std::exchange(unsaid_, {});
  return write(text.data(), text.size(), reply_) ? out : Outcome::kFailed;
}

Outcome TlsStream::read_once(char* data, size_t size, size_t* got) {
  wire_ = &reply_;
  ERR_clear_error();
  const int done = SSL_read_ex(ssl_, data, size, got);
  if (done == 1) messages_ = 0;
  if (done == 1) return Outcome::kDone;
  const Outcome out = outcome(done);
  cut_off_ = out == Outcome::kCutOff;
  if (out == Outcome::kFailed) note_complaint();
  return out;
}

bool TlsStream::write(const char* data, size_t size, std::string& wire) {
  if (!unsaid_.empty()) return hold(data, size);
  wire_ = &wire;
  ERR_clear_error();
  while (size > 0) {
    size_t taken = 0;
    const int done = SSL_write_ex(ssl_, data, size, &taken);
    if (done != 1) {
      const Outcome out = outcome(done);
      return (out == Outcome::kWaiting || out == Outcome::kMore) && hold(data, size);
    }
    data += taken;
    size -= taken;
  }
  return true;
}

bool TlsStream::hold(const char* data, size_t size) {
  if (unsaid_.size() + size > kMostUnsaid) return false;
  unsaid_.append(data, size);
  return true;
}

// OpenSSL says nothing between the parts of a message, such as a ticket in several records.
bool TlsStream::holds_back() const {
  const bool may_come = secured_ && !fin_ && !socket_failed_ && !offends_;
  return may_come && (!unsaid_.empty() || SSL_in_init(ssl_) == 1);
}

void TlsStream::finish(std::string& wire) {
  if (holds_back()) return;
  if (std::exchange(finished_, true)) return;
  wire_ = &wire;
  ERR_clear_error();
  SSL_shutdown(ssl_);
  ERR_clear_error();
}

bool TlsStream::holds_more() const { return SSL_has_pending(ssl_) == 1; }

// Within a call of OpenSSL's, which goes on over such messages for as long as there are any. A wish
// to renegotiate shows only in the alert that refuses it.
void TlsStream::on_message(int sending, int, int type, const void* data, size_t size, SSL* ssl,
                           void* self) {
  auto& stream = *static_cast<TlsStream*>(self);
  if (!stream.secured_ || size < 2) return;
  const auto* bytes = static_cast<const unsigned char*>(data);
  const bool refuses = sending != 0 && type == SSL3_RT_ALERT && bytes[1] == SSL_AD_NO_RENEGOTIATION;
  const bool asks = sending == 0 && type == SSL3_RT_HANDSHAKE;
  if (refuses || (asks && ++stream.messages_ > kMostMessages)) stream.offends_ = true;
  // Nothing more is processed.
  if (stream.offends_) SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN | SSL_SENT_SHUTDOWN);
}

bool TlsStream::resumed() const { return SSL_session_reused(ssl_) == 1; }

const char* TlsStream::version() const { return SSL_get_version(ssl_); }

std::string_view TlsStream::server_name() const {
  const char* name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? std::string_view() : name;
}

std::string_view TlsStream::protocol() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

}  // namespace lb::tls
