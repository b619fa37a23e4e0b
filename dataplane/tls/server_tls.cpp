#include "dataplane/tls/server_tls.hpp"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <ctime>

namespace lb::tls {
namespace {

constexpr long kTicketSeconds = 2 * TicketKeys::kLifeSeconds;
constexpr size_t kTickets = 1;  // with each handshake a client gets a new one

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  });
  return out;
}

// Does not go back, unlike the day's time.
int64_t steady_seconds() {
  std::timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec;
}

bool use(SSL* ssl, const ServerCertificate& certificate) {
  return SSL_use_cert_and_key(ssl, certificate.own(), certificate.key(), certificate.chain(), 1) ==
         1;
}

bool prepare(const TicketKey& key, const unsigned char* iv, EVP_CIPHER_CTX* cipher,
             EVP_MAC_CTX* mac, bool sealing) {
  char digest[] = "SHA256";
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY,
                                        const_cast<unsigned char*>(key.mac.data()), key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, params) == 1 &&
         EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv,
                           sealing ? 1 : 0) == 1;
}

}  // namespace

ServerTls::~ServerTls() { SSL_CTX_free(context_); }

SSL* ServerTls::open() const { return SSL_new(context_); }

Result<std::shared_ptr<const ServerTls>> ServerTls::make(const TlsPolicy& policy,
                                                         const std::vector<NamedCertificate>& known,
                                                         std::shared_ptr<TicketKeys> tickets,
                                                         const std::string& scope) {
  ERR_clear_error();
  std::shared_ptr<ServerTls> out(new ServerTls);
  out->tickets_ = std::move(tickets);
  out->protocols_ = as_in_hello(policy.alpn);
  if (const Status taken = out->take_certificates(policy, known); !taken) return taken.error();
  if (const Status set = out->set_up(policy, scope); !set) return set.error();
  if (const Status taken = out->take_authorities(policy, known); !taken) return taken.error();
  return std::shared_ptr<const ServerTls>(std::move(out));
}

// An exact name may be that of several certificates, of different kinds of keys.
Status ServerTls::take_certificates(const TlsPolicy& policy,
                                    const std::vector<NamedCertificate>& known) {
  for (const auto& name : policy.certificates) {
    const auto certificate = find_in(known, name);
    if (!certificate || !certificate->has_key()) {
      missing_.push_back(name);
      continue;
    }
    for (const auto& each : certificate->names()) by_name_[each].push_back(certificate);
    if (name == policy.default_certificate || policy.certificates.size() == 1) {
      default_.push_back(certificate);
    }
  }
  if (!by_name_.empty() || !default_.empty()) return Done{};
  if (missing_.empty()) return Error{"CertificateMissing", "no certificate here is for any name"};
  return Error{"CertificateMissing", "there is no certificate '" + missing_.front() + "' here yet"};
}

Status ServerTls::set_up(const TlsPolicy& policy, const std::string& scope) {
  context_ = SSL_CTX_new(TLS_server_method());
  if (context_ == nullptr) return failure("no context");
  if (!set_common_terms(context_)) return failure("cannot be set up");
  SSL_CTX_set_options(context_, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(context_, kTicketSeconds);
  SSL_CTX_set_num_tickets(context_, kTickets);
  SSL_CTX_set_app_data(context_, this);
  SSL_CTX_set_tlsext_servername_callback(context_, &ServerTls::on_server_name);
  SSL_CTX_set_tlsext_servername_arg(context_, this);
  SSL_CTX_set_cert_cb(context_, &ServerTls::on_certificate, this);
  if (!policy.alpn.empty()) {
    SSL_CTX_set_alpn_select_cb(context_, &ServerTls::on_protocols, this);
  }
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context_, &ServerTls::on_ticket);
  set_scope(scope);
  return Done{};
}

void ServerTls::set_scope(const std::string& scope) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(scope.data(), scope.size(), digest.data(), &size, EVP_sha256(), nullptr);
  SSL_CTX_set_session_id_context(context_, digest.data(),
                                 std::min<unsigned>(size, SSL_MAX_SID_CTX_LENGTH));
}

Status ServerTls::take_authorities(const TlsPolicy& policy,
                                   const std::vector<NamedCertificate>& known) {
  if (policy.client_authorities.empty()) return Done{};
  auto trusted = trust_in(context_, policy.client_authorities, known);
  if (!trusted) return trusted.error();
  authorities_ = std::move(*trusted);
  for (const auto& authority : authorities_) {
    for (X509* each : authority->certificates()) {
      if (SSL_CTX_add_client_CA(context_, each) != 1) {
        return failure("an authority cannot be asked for");
      }
    }
  }
  // A ticket would outlive its client's certificate, and the authority that has signed it.
  SSL_CTX_set_options(context_, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context_, 0);
  SSL_CTX_set_verify(context_, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return Done{};
}

const ServerTls::Certificates* ServerTls::find(std::string_view name) const {
  const std::string asked = lower(name);
  const auto exact = by_name_.find(asked);
  if (exact != by_name_.end()) return &exact->second;
  const size_t dot = asked.find('.');
  if (dot != std::string::npos) {
    const auto wildcard = by_name_.find("*" + asked.substr(dot));
    if (wildcard != by_name_.end()) return &wildcard->second;
  }
  return default_.empty() ? nullptr : &default_;
}

// Called whether a name was sent or not, and before a certificate is chosen.
int ServerTls::on_server_name(SSL* ssl, int* alert, void* self) try {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  const auto* found = static_cast<const ServerTls*>(self)->find(name == nullptr ? "" : name);
  if (found != nullptr) return SSL_TLSEXT_ERR_OK;
  *alert = SSL_AD_UNRECOGNIZED_NAME;
  return SSL_TLSEXT_ERR_ALERT_FATAL;
} catch (const std::bad_alloc&) {
  *alert = SSL_AD_INTERNAL_ERROR;
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int ServerTls::on_certificate(SSL* ssl, void* self) try {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  const auto* found = static_cast<const ServerTls*>(self)->find(name == nullptr ? "" : name);
  if (found == nullptr) return 0;
  return std::all_of(found->begin(), found->end(),
                     [ssl](const auto& each) { return use(ssl, *each); });
} catch (const std::bad_alloc&) {
  return 0;
}

int ServerTls::on_protocols(SSL*, const unsigned char** out, unsigned char* out_size,
                            const unsigned char* in, unsigned in_size, void* self) {
  const auto& ours = static_cast<const ServerTls*>(self)->protocols_;
  unsigned char* chosen = nullptr;
  const int found = SSL_select_next_proto(&chosen, out_size, ours.data(),
                                          static_cast<unsigned>(ours.size()), in, in_size);
  *out = chosen;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

// 0 asks for a whole handshake; 2 for a new ticket.
int ServerTls::on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                         EVP_MAC_CTX* mac, int sealing) {
  const auto* self = static_cast<const ServerTls*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  if (sealing != 0) {
    const auto key = self->tickets_->newest(steady_seconds());
    if (!key || RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return 0;
    std::copy(key->name.begin(), key->name.end(), name);
    return prepare(*key, iv, cipher, mac, true) ? 1 : -1;
  }
  const auto found = self->tickets_->find(name, steady_seconds());
  if (!found) return 0;
  if (!prepare(found->key, iv, cipher, mac, false)) return -1;
  return found->newest ? 1 : 2;
}

}  // namespace lb::tls
