#include "tests/support/fake_tls.hpp"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <array>
#include <stdexcept>

#include <boost/asio/ssl.hpp>

namespace lb::test {
namespace {

using Stream = asio::ssl::stream<asio::ip::tcp::socket>;
template <class T, void (*free)(T*)>
struct Freer {
  void operator()(T* value) const { free(value); }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY, EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509, X509_free>>;

void require(bool good) {
  if (!good) throw std::runtime_error("OpenSSL made no certificate");
}

Certificate self_signed(EVP_PKEY* key) {
  Certificate out(X509_new());
  require(out != nullptr);
  ASN1_INTEGER_set(X509_get_serialNumber(out.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(out.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(out.get()), 3600);
  X509_set_pubkey(out.get(), key);
  X509_NAME* name = X509_get_subject_name(out.get());
  const auto* text = reinterpret_cast<const unsigned char*>("fake");
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, -1, -1, 0);
  X509_set_issuer_name(out.get(), name);
  require(X509_sign(out.get(), key, EVP_sha256()) != 0);
  return out;
}

int remember_name(SSL* ssl, int*, void* where) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  *static_cast<std::string*>(where) = name == nullptr ? "" : name;
  return SSL_TLSEXT_ERR_OK;
}

void restrict(SSL_CTX* context, TlsVersions versions) {
  if (versions == TlsVersions::kAll) return;
  const bool old = versions == TlsVersions::kOnly1_1;
  const int version = old ? TLS1_1_VERSION : TLS1_2_VERSION;
  if (old) SSL_CTX_set_security_level(context, 0);
  SSL_CTX_set_min_proto_version(context, version);
  SSL_CTX_set_max_proto_version(context, version);
}

std::shared_ptr<asio::ssl::context> make_context(TlsVersions versions) {
  auto out = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  const Key key(EVP_EC_gen("P-256"));
  require(key != nullptr);
  const Certificate certificate = self_signed(key.get());
  require(SSL_CTX_use_certificate(out->native_handle(), certificate.get()) == 1);
  require(SSL_CTX_use_PrivateKey(out->native_handle(), key.get()) == 1);
  restrict(out->native_handle(), versions);
  return out;
}

void read_until_end(const std::shared_ptr<Stream>& stream) {
  auto buffer = std::make_shared<std::array<char, 256>>();
  stream->async_read_some(asio::buffer(*buffer), [stream, buffer](const auto& error, size_t) {
    if (!error) read_until_end(stream);
  });
}

}  // namespace

Serve speak_tls(TlsVersions versions, std::shared_ptr<std::string> name) {
  const auto context = make_context(versions);
  if (name) {
    SSL_CTX_set_tlsext_servername_callback(context->native_handle(), remember_name);
    SSL_CTX_set_tlsext_servername_arg(context->native_handle(), name.get());
  }
  return [context, name](const Connection& connection) {
    auto stream = std::make_shared<Stream>(std::move(*connection), *context);
    stream->async_handshake(Stream::server, [stream](const auto& error) {
      if (!error) read_until_end(stream);
    });
  };
}

}  // namespace lb::test
