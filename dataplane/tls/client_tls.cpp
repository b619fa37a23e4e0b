#include "dataplane/tls/client_tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <utility>

#include "dataplane/tls/tls_stream.hpp"

namespace lb::tls {
namespace {

// No name but whole ones and those of one label, and never the common name (RFC 9525, section 2).
constexpr unsigned kNameRules =
    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

// False: no memory.
bool offer(SSL* ssl, std::string_view protocol) {
  if (protocol.empty()) return true;
  const auto offered = as_in_hello({std::string(protocol)});
  return SSL_set_alpn_protos(ssl, offered.data(), static_cast<unsigned>(offered.size())) == 0;
}

}  // namespace

ClientTls::~ClientTls() { SSL_CTX_free(context_); }

Result<std::shared_ptr<const ClientTls>> ClientTls::make(
    const BackendTls& policy, const std::vector<NamedCertificate>& known) {
  ERR_clear_error();
  std::shared_ptr<ClientTls> out(new ClientTls);
  if (const Status set = out->set_up(policy); !set) return set.error();
  if (!policy.verify) return std::shared_ptr<const ClientTls>(std::move(out));
  if (const Status taken = out->take_authorities(policy, known); !taken) return taken.error();
  if (const Status set = out->verify_for(policy.server_name); !set) return set.error();
  return std::shared_ptr<const ClientTls>(std::move(out));
}

Status ClientTls::set_up(const BackendTls& policy) {
  server_name_ = policy.server_name;
  context_ = SSL_CTX_new(TLS_client_method());
  if (context_ == nullptr) return failure("no context");
  if (!set_common_terms(context_)) return failure("cannot be set up");
  SSL_CTX_set_app_data(context_, this);
  SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context_, &ClientTls::on_session);
  return Done{};
}

// Whoever is named is trusted, whether it has signed itself or not.
Status ClientTls::take_authorities(const BackendTls& policy,
                                   const std::vector<NamedCertificate>& known) {
  if (policy.authorities.empty()) {
    if (SSL_CTX_set_default_verify_paths(context_) == 1) return Done{};
    return failure("the authorities of this host cannot be used");
  }
  const auto trusted = trust_in(context_, policy.authorities, known);
  if (!trusted) return trusted.error();
  X509_STORE_set_flags(SSL_CTX_get_cert_store(context_), X509_V_FLAG_PARTIAL_CHAIN);
  return Done{};
}

Status ClientTls::verify_for(const std::string& name) {
  X509_VERIFY_PARAM* param = SSL_CTX_get0_param(context_);
  X509_VERIFY_PARAM_set_hostflags(param, kNameRules);
  if (name.empty() || X509_VERIFY_PARAM_set1_host(param, name.data(), name.size()) != 1) {
    return failure("no name to verify certificates for");
  }
  SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
  return Done{};
}

ClientTls::Opened ClientTls::open(const Endpoint& backend, std::string_view protocol) const {
  std::unique_ptr<SSL, FreeSsl> ssl(SSL_new(context_));
  if (!ssl) return {};
  const bool named =
      server_name_.empty() || SSL_set_tlsext_host_name(ssl.get(), server_name_.c_str()) == 1;
  if (!named || !offer(ssl.get(), protocol)) return {};
  const auto kept = sessions_.take(backend, std::time(nullptr));
  if (kept.session) SSL_set_session(ssl.get(), kept.session.get());
  return {ssl.release(), kept.begun_s};
}

// 1: it is ours now.
int ClientTls::on_session(SSL* ssl, ssl_session_st* session) {
  const auto* self = static_cast<const ClientTls*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  const auto* stream = static_cast<const TlsStream*>(SSL_get_app_data(ssl));
  if (stream == nullptr || !stream->peer()) return 0;
  const int64_t begun_s = stream->resumed() ? stream->session_begun_s() : std::time(nullptr);
  self->sessions_.put(*stream->peer(), {SessionStore::Session(session), begun_s});
  return 1;
}

}  // namespace lb::tls
