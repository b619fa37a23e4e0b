#include "tests/support/tls_server.hpp"

#include <openssl/ssl.h>

#include "common/net/openssl_types.hpp"

namespace lb::test {
namespace {

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

TlsServer::TlsServer(int socket, TlsServerContext context)
    : TlsEnd(socket, context.get()), context_(std::move(context)) {
  SSL_CTX_set_client_hello_cb(context_.get(), &TlsServer::on_hello, nullptr);
}

int TlsServer::on_hello(SSL* ssl, int*, void*) {
  constexpr size_t kListSize = 2;
  const unsigned char* list = nullptr;
  size_t size = 0;
  const int found = SSL_client_hello_get0_ext(
      ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &list, &size);
  if (found == 1 && size > kListSize) {
    static_cast<TlsServer&>(of(ssl)).offered_.assign(
        reinterpret_cast<const char*>(list) + kListSize, size - kListSize);
  }
  return SSL_CLIENT_HELLO_SUCCESS;
}

bool TlsServer::shake_hands() { return SSL_accept(ssl()) == 1; }

std::string TlsServer::server_name() const {
  const char* name = SSL_get_servername(ssl(), TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? "" : name;
}

}  // namespace lb::test
