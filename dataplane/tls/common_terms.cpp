#include "dataplane/tls/common_terms.hpp"

#include <openssl/ssl.h>

#include <algorithm>

#include "common/net/openssl_types.hpp"
#include "dataplane/tls/tls_stream.hpp"

namespace lb::tls {
namespace {

// Mozilla's intermediate list less what has no forward secrecy or no authenticated encryption.
constexpr char kCiphers12[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr char kGroups[] = "X25519:P-256:P-384";
constexpr size_t kReadAhead = 32768;  // two full records in a call

constexpr long kModes =
    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER;

}  // namespace

ServerCertificate::Pointer find_in(const std::vector<NamedCertificate>& known,
                                   const std::string& name) {
  const auto found =
      std::lower_bound(known.begin(), known.end(), name,
                       [](const auto& each, const auto& wanted) { return each.name < wanted; });
  return found == known.end() || found->name != name ? nullptr : found->certificate;
}

Result<std::vector<ServerCertificate::Pointer>> trust_in(
    SSL_CTX* context, const std::vector<std::string>& names,
    const std::vector<NamedCertificate>& known) {
  std::vector<ServerCertificate::Pointer> out;
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const auto& name : names) {
    out.push_back(find_in(known, name));
    if (!out.back()) {
      return Error{"CertificateMissing", "there is no authority '" + name + "' here yet"};
    }
    for (X509* each : out.back()->certificates()) {
      if (X509_STORE_add_cert(store, each) != 1) return failure("an authority cannot be used");
    }
  }
  return out;
}

std::vector<unsigned char> as_in_hello(const std::vector<std::string>& protocols) {
  std::vector<unsigned char> out;
  for (const auto& each : protocols) {
    out.push_back(static_cast<unsigned char>(each.size()));
    out.insert(out.end(), each.begin(), each.end());
  }
  return out;
}

bool set_common_terms(SSL_CTX* context) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, kModes);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_read_buffer_len(context, kReadAhead);
  SSL_CTX_set_msg_callback(context, &TlsStream::on_message);
  return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
         SSL_CTX_set_cipher_list(context, kCiphers12) == 1 &&
         SSL_CTX_set1_groups_list(context, kGroups) == 1;
}

Error failure(const char* what) {
  return {"Tls", std::string(what) + ": " + net::openssl::reason()};
}

}  // namespace lb::tls
