#include "tests/support/tls_server.hpp"

#include <openssl/ssl.h>

#include "common/net/openssl_types.hpp"

namespace lb::test {
namespace {

std::string as_offered(const std::vector<std::string>& protocols) {
  std::string out;
  for (const auto& each : protocols) out += static_cast<char>(each.size()) + each;
  return out;
}

const unsigned char* bytes_of(const std::string& text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

int on_protocols(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in,
                 unsigned in_size, void* options) {
  const auto& wanted = *static_cast<const TlsServerOptions*>(options);
  if (!wanted.forced_protocol.empty()) {
    *out = bytes_of(wanted.forced_protocol);
    *size = static_cast<unsigned char>(wanted.forced_protocol.size());
    return SSL_TLSEXT_ERR_OK;
  }
  const std::string ours = as_offered(wanted.alpn);
  unsigned char* chosen = nullptr;
  const int found = SSL_select_next_proto(&chosen, size, bytes_of(ours),
                                          static_cast<unsigned>(ours.size()), in, in_size);
  if (found != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  // What was chosen stands in the hello too, which outlives this call.
  for (unsigned at = 0; at < in_size; at += 1u + in[at]) {
    const std::string each(reinterpret_cast<const char*>(in) + at + 1, in[at]);
    if (each == std::string(reinterpret_cast<char*>(chosen), *size)) *out = in + at + 1;
  }
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

TlsServerContext make_server_context(const TlsServerOptions& options) {
  auto* context = SSL_CTX_new(TLS_server_method());
  auto* kept = new TlsServerOptions(options);
  const auto certificate = net::openssl::read_certificate(options.identity.certificate);
  const auto key = net::openssl::read_key(options.identity.key);
  SSL_CTX_use_certificate(context, certificate.get());
  SSL_CTX_use_PrivateKey(context, key.get());
  const unsigned char name[] = "tests";
  SSL_CTX_set_session_id_context(context, name, sizeof name);
  if (options.max_version != 0) SSL_CTX_set_max_proto_version(context, options.max_version);
  const bool chooses = !options.alpn.empty() || !options.forced_protocol.empty();
  if (chooses) SSL_CTX_set_alpn_select_cb(context, on_protocols, kept);
  if (!options.client_authority.empty()) {
    const auto authority = net::openssl::read_certificate(options.client_authority);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return {context, [kept](SSL_CTX* each) {
            SSL_CTX_free(each);
            delete kept;
          }};
}

TlsServer::TlsServer(int socket, TlsServerContext context) : context_(std::move(context)) {
  SSL_CTX_set_client_hello_cb(context_.get(), &TlsServer::on_hello, nullptr);
  ssl_ = SSL_new(context_.get());
  SSL_set_app_data(ssl_, this);
  SSL_set_info_callback(ssl_, &TlsServer::on_info);
  SSL_set_fd(ssl_, socket);
}

TlsServer::~TlsServer() { SSL_free(ssl_); }

void TlsServer::on_info(const SSL* ssl, int where, int value) {
  if (where != SSL_CB_READ_ALERT) return;
  static_cast<TlsServer*>(SSL_get_app_data(ssl))->alert_ = value & 0xff;
}

int TlsServer::on_hello(SSL* ssl, int*, void*) {
  constexpr size_t kListSize = 2;
  const unsigned char* list = nullptr;
  size_t size = 0;
  const int found = SSL_client_hello_get0_ext(
      ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &list, &size);
  if (found == 1 && size > kListSize) {
    static_cast<TlsServer*>(SSL_get_app_data(ssl))
        ->offered_.assign(reinterpret_cast<const char*>(list) + kListSize, size - kListSize);
  }
  return SSL_CLIENT_HELLO_SUCCESS;
}

bool TlsServer::shake_hands() { return SSL_accept(ssl_) == 1; }

bool TlsServer::write(const std::string& text) {
  size_t sent = 0;
  return SSL_write_ex(ssl_, text.data(), text.size(), &sent) == 1 && sent == text.size();
}

std::string TlsServer::read(size_t size) {
  std::string out(size, '\0');
  size_t had = 0, got = 0;
  while (had < size && SSL_read_ex(ssl_, out.data() + had, size - had, &got) == 1) had += got;
  out.resize(had);
  return out;
}

std::string TlsServer::read_to_end() {
  std::string out, piece;
  while (!(piece = read(1)).empty()) out += piece;
  return out;
}

void TlsServer::finish() { SSL_shutdown(ssl_); }

bool TlsServer::change_keys() {
  return SSL_key_update(ssl_, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(ssl_) == 1;
}

bool TlsServer::ended_well() const { return (SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN) != 0; }

bool TlsServer::resumed() const { return SSL_session_reused(ssl_) == 1; }

std::string TlsServer::server_name() const {
  const char* name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? "" : name;
}

std::string TlsServer::protocol() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

}  // namespace lb::test
