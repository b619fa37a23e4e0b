#include "common/net/server_certificate.hpp"

#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "common/net/openssl_types.hpp"

namespace lb::net {
namespace {

using openssl::Certificate;

constexpr size_t kMostCertificates = 256;

using Names = std::unique_ptr<GENERAL_NAMES, openssl::Free<GENERAL_NAMES, GENERAL_NAMES_free>>;
using Context = std::unique_ptr<SSL_CTX, openssl::Free<SSL_CTX, SSL_CTX_free>>;

// Empty: no name that a client could ask for.
std::string lower(const ASN1_STRING* text) {
  std::string out(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                  static_cast<size_t>(ASN1_STRING_length(text)));
  if (out.find('\0') != std::string::npos) return {};
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  });
  return out;
}

std::string common_name(X509* certificate) {
  X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return {};
  return lower(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

std::vector<std::string> names_of(X509* certificate) {
  std::vector<std::string> out;
  const Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  const int count = names ? sk_GENERAL_NAME_num(names.get()) : 0;
  for (int i = 0; i < count; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) out.push_back(lower(name->d.dNSName));
  }
  if (!names) out.push_back(common_name(certificate));
  std::erase(out, "");
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::string hex(const unsigned char* bytes, size_t size) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (size_t i = 0; i < size; ++i) {
    out += kDigits[bytes[i] >> 4];
    out += kDigits[bytes[i] & 15];
  }
  return out;
}

std::string fingerprint_of(const std::vector<X509*>& certificates) {
  std::string all;
  for (X509* each : certificates) {
    unsigned char* der = nullptr;
    const int size = i2d_X509(each, &der);
    if (size > 0) all.append(reinterpret_cast<char*>(der), static_cast<size_t>(size));
    OPENSSL_free(der);
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(all.data(), all.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return "sha256:" + hex(digest.data(), size);
}

// What handshakes would stumble over.
Status try_in_server(const ServerCertificate& certificate) {
  const Context context(SSL_CTX_new(TLS_server_method()));
  if (context && SSL_CTX_use_cert_and_key(context.get(), certificate.own(), certificate.key(),
                                          certificate.chain(), 1) == 1) {
    return Done{};
  }
  const int why = ERR_GET_REASON(ERR_peek_last_error());
  const bool mismatch = why == X509_R_KEY_VALUES_MISMATCH || why == X509_R_KEY_TYPE_MISMATCH ||
                        why == SSL_R_PRIVATE_KEY_MISMATCH;
  const std::string reason = openssl::reason();
  if (mismatch) return Error{"KeyDoesNotFit", "the key is not that of the first certificate"};
  return Error{"CertificateTooWeak", "OpenSSL does not serve with it: " + reason};
}

}  // namespace

std::string utc_text(int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  gmtime_r(&time, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

ServerCertificate::~ServerCertificate() {
  for (X509* each : certificates_) X509_free(each);
  sk_X509_free(chain_);
  EVP_PKEY_free(key_);
}

Result<ServerCertificate::Pointer> ServerCertificate::read(const SignedKey& text, int64_t now_s) {
  ERR_clear_error();
  std::shared_ptr<ServerCertificate> out(new ServerCertificate);
  if (const Status read = out->read_certificates(text.certificate); !read) return read.error();
  if (!text.key.empty()) {
    if (const Status read = out->read_key(text.key); !read) return read.error();
    if (const Status fits = try_in_server(*out); !fits) return fits.error();
  }
  out->describe();
  if (const Status good = out->judge(now_s); !good) return good.error();
  return Pointer(std::move(out));
}

Status ServerCertificate::read_certificates(const std::string& text) {
  const openssl::Bio bio = openssl::reader(text);
  while (Certificate each = openssl::read_certificate(bio.get())) {
    certificates_.push_back(each.get());
    each.release();
    if (certificates_.size() > kMostCertificates) {
      return Error{"CertificateUnreadable", "there are more than 256 certificates"};
    }
  }
  // After the last one there is no further beginning, which is not an error here.
  const int why = ERR_GET_REASON(ERR_peek_last_error());
  const std::string reason = openssl::reason();
  if (why != PEM_R_NO_START_LINE) return Error{"CertificateUnreadable", reason};
  if (certificates_.empty()) return Error{"CertificateUnreadable", "there is no PEM certificate"};
  chain_ = sk_X509_new_null();
  for (size_t i = 1; i < certificates_.size(); ++i) sk_X509_push(chain_, certificates_[i]);
  return Done{};
}

Status ServerCertificate::read_key(const std::string& text) {
  key_ = openssl::read_key(text).release();
  if (key_ != nullptr) return Done{};
  return Error{"KeyUnreadable", "no unencrypted PEM key: " + openssl::reason()};
}

void ServerCertificate::describe() {
  names_ = names_of(own());
  validity_ = {openssl::seconds_of(X509_get0_notBefore(own())),
               openssl::seconds_of(X509_get0_notAfter(own()))};
  fingerprint_ = fingerprint_of(certificates_);
  ERR_clear_error();
}

// Of authorities one that is good is enough.
Status ServerCertificate::judge(int64_t now_s) const {
  if (!has_key() || now_s == kAnyTime) return Done{};
  if (now_s >= validity_.until) {
    return Error{"CertificateExpired", "it has not been valid since " + utc_text(validity_.until)};
  }
  if (now_s < validity_.from) {
    return Error{"CertificateNotYetValid", "it is valid from " + utc_text(validity_.from) + " on"};
  }
  return Done{};
}

}  // namespace lb::net
