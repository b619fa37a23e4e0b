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

// The connection that is made of it keeps it.
std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> make_context() {
  auto* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT);
  return {context, &SSL_CTX_free};
}

}  // namespace

TlsClient::TlsClient(int socket, const TlsClientOptions& options)
    : TlsEnd(socket, make_context().get()) {
  if (!options.server_name.empty()) {
    SSL_set_tlsext_host_name(ssl(), options.server_name.c_str());
  }
  const std::string offered = as_offered(options.alpn);
  SSL_set_alpn_protos(ssl(), bytes_of(offered), static_cast<unsigned>(offered.size()));
  if (!options.identity.empty()) show(ssl(), options.identity);
  if (options.max_version != 0) SSL_set_max_proto_version(ssl(), options.max_version);
  if (options.session != nullptr) SSL_set_session(ssl(), options.session);
}

bool TlsClient::shake_hands() { return SSL_connect(ssl()) == 1; }

bool TlsClient::renegotiate() {
  return SSL_renegotiate(ssl()) == 1 && SSL_do_handshake(ssl()) == 1;
}

std::string TlsClient::common_name() const {
  const X509* certificate = SSL_get0_peer_certificate(ssl());
  if (certificate == nullptr) return {};
  char name[256] = {};
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
  return name;
}

ssl_session_st* TlsClient::session() { return SSL_get1_session(ssl()); }

}  // namespace lb::test
