#include "tests/support/tls_client.hpp"

#include <openssl/ssl.h>

#include "common/net/openssl_types.hpp"

namespace lb::test {
namespace {

void show(SSL* ssl, const net::SignedKey& identity) {
  const auto certificate = net::openssl::read_certificate(identity.certificate);
  const auto key = net::openssl::read_key(identity.key);
  SSL_use_certificate(ssl, certificate.get());
  SSL_use_PrivateKey(ssl, key.get());
}

}  // namespace

TlsClient::TlsClient(int socket, const TlsClientOptions& options)
    : context_(SSL_CTX_new(TLS_client_method())) {
  SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT);
  ssl_ = SSL_new(context_);
  SSL_set_app_data(ssl_, this);
  SSL_set_info_callback(ssl_, &TlsClient::on_info);
  SSL_set_fd(ssl_, socket);
  if (!options.server_name.empty()) {
    SSL_set_tlsext_host_name(ssl_, options.server_name.c_str());
  }
  std::string offered;
  for (const auto& each : options.alpn) offered += static_cast<char>(each.size()) + each;
  SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(offered.data()),
                      static_cast<unsigned>(offered.size()));
  if (!options.identity.empty()) show(ssl_, options.identity);
  if (options.max_version != 0) SSL_set_max_proto_version(ssl_, options.max_version);
  if (options.session != nullptr) SSL_set_session(ssl_, options.session);
}

TlsClient::~TlsClient() {
  SSL_free(ssl_);
  SSL_CTX_free(context_);
}

void TlsClient::on_info(const SSL* ssl, int where, int value) {
  if (where != SSL_CB_READ_ALERT) return;
  static_cast<TlsClient*>(SSL_get_app_data(ssl))->alert_ = value & 0xff;
}

bool TlsClient::shake_hands() { return SSL_connect(ssl_) == 1; }

bool TlsClient::write(const std::string& text) {
  size_t sent = 0;
  return SSL_write_ex(ssl_, text.data(), text.size(), &sent) == 1 && sent == text.size();
}

std::string TlsClient::read(size_t size) {
  std::string out(size, '\0');
  size_t had = 0, got = 0;
  while (had < size && SSL_read_ex(ssl_, out.data() + had, size - had, &got) == 1) had += got;
  out.resize(had);
  return out;
}

std::string TlsClient::read_to_end() {
  std::string out, piece;
  while (!(piece = read(1)).empty()) out += piece;
  return out;
}

void TlsClient::finish() { SSL_shutdown(ssl_); }

bool TlsClient::change_keys() {
  return SSL_key_update(ssl_, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(ssl_) == 1;
}

bool TlsClient::renegotiate() { return SSL_renegotiate(ssl_) == 1 && SSL_do_handshake(ssl_) == 1; }

bool TlsClient::ended_well() const { return (SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN) != 0; }

bool TlsClient::resumed() const { return SSL_session_reused(ssl_) == 1; }

std::string TlsClient::protocol() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

std::string TlsClient::common_name() const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_);
  if (certificate == nullptr) return {};
  char name[256] = {};
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
  return name;
}

ssl_session_st* TlsClient::session() { return SSL_get1_session(ssl_); }

}  // namespace lb::test
