#include "common/net/certificates.hpp"

#include <openssl/rand.h>

#include <array>
#include <memory>

#include "common/net/openssl_types.hpp"

namespace lb::net {
namespace {

using openssl::Bio;
using openssl::Certificate;
using openssl::Free;
using openssl::Key;
using openssl::read_certificate;
using openssl::read_key;
using openssl::seconds_of;
using Extension = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION, X509_EXTENSION_free>>;

constexpr size_t kSerialBytes = 16;

Error failure(const char* what) {
  return {"Certificate", std::string(what) + ": " + openssl::reason()};
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

bool add_extension(X509* to, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  return extension && X509_add_ext(to, extension.get(), -1) == 1;
}

// RFC 5280 §4.1.2.2: positive, at most 20 octets, and not to be guessed.
bool set_serial(X509* certificate) {
  std::array<unsigned char, kSerialBytes> bytes{};
  if (RAND_bytes(bytes.data(), bytes.size()) != 1) return false;
  bytes[0] = (bytes[0] & 0x7f) | 0x40;
  const std::unique_ptr<BIGNUM, Free<BIGNUM, BN_free>> number(
      BN_bin2bn(bytes.data(), bytes.size(), nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_name(X509_NAME* name, const std::string& common_name) {
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.c_str()), -1,
                                    -1, 0) == 1;
}

Certificate blank(EVP_PKEY* key, const std::string& common_name, Validity validity) {
  Certificate out(X509_new());
  const bool made = out && X509_set_version(out.get(), X509_VERSION_3) == 1 &&
                    set_serial(out.get()) &&
                    ASN1_TIME_set(X509_getm_notBefore(out.get()), validity.from) != nullptr &&
                    ASN1_TIME_set(X509_getm_notAfter(out.get()), validity.until) != nullptr &&
                    X509_set_pubkey(out.get(), key) == 1 &&
                    set_name(X509_get_subject_name(out.get()), common_name);
  return made ? std::move(out) : nullptr;
}

Result<SignedKey> to_text(X509* certificate, EVP_PKEY* key) {
  const Bio first(BIO_new(BIO_s_mem()));
  const Bio second(BIO_new(BIO_s_secmem()));
  if (PEM_write_bio_X509(first.get(), certificate) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(second.get(), key, nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    return failure("cannot write a certificate");
  }
  return SignedKey{text_of(first.get()), text_of(second.get())};
}

}  // namespace

Result<SignedKey> make_authority(const std::string& common_name, Validity validity) {
  const Key key(EVP_EC_gen("P-256"));
  const Certificate own = key ? blank(key.get(), common_name, validity) : nullptr;
  if (!own) return failure("cannot make an authority");
  X509* it = own.get();
  const bool made = X509_set_issuer_name(it, X509_get_subject_name(it)) == 1 &&
                    add_extension(it, it, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                    add_extension(it, it, NID_key_usage, "critical,keyCertSign") &&
                    add_extension(it, it, NID_subject_key_identifier, "hash") &&
                    X509_sign(it, key.get(), EVP_sha256()) > 0;
  if (!made) return failure("cannot make an authority");
  return to_text(it, key.get());
}

Result<SignedKey> issue(const SignedKey& authority, const std::string& dns_name, CertificateUse use,
                        Validity validity) {
  const Certificate issuer = read_certificate(authority.certificate);
  const Key issuer_key = read_key(authority.key);
  if (!issuer || !issuer_key) return failure("the authority cannot be read");
  const Key key(EVP_EC_gen("P-256"));
  const Certificate own = key ? blank(key.get(), dns_name, validity) : nullptr;
  if (!own) return failure("cannot make a certificate");
  X509* it = own.get();
  const char* purpose = use == CertificateUse::kServer ? "serverAuth" : "clientAuth";
  const bool made = X509_set_issuer_name(it, X509_get_subject_name(issuer.get())) == 1 &&
                    add_extension(it, issuer.get(), NID_basic_constraints, "critical,CA:FALSE") &&
                    add_extension(it, issuer.get(), NID_key_usage, "critical,digitalSignature") &&
                    add_extension(it, issuer.get(), NID_ext_key_usage, purpose) &&
                    add_extension(it, issuer.get(), NID_subject_alt_name, "DNS:" + dns_name) &&
                    add_extension(it, issuer.get(), NID_authority_key_identifier, "keyid:always") &&
                    X509_sign(it, issuer_key.get(), EVP_sha256()) > 0;
  if (!made) return failure("cannot make a certificate");
  return to_text(it, key.get());
}

Result<Validity> validity_of(std::string_view certificate) {
  const Certificate read = read_certificate(certificate);
  if (!read) return failure("cannot read a certificate");
  return Validity{seconds_of(X509_get0_notBefore(read.get())),
                  seconds_of(X509_get0_notAfter(read.get()))};
}

bool fits(const SignedKey& what, std::string_view authority, const std::string& dns_name,
          CertificateUse use) {
  const Certificate own = read_certificate(what.certificate);
  const Key key = read_key(what.key);
  const Certificate issuer = read_certificate(authority);
  const int purpose =
      use == CertificateUse::kServer ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT;
  const bool good = own && key && issuer && X509_check_private_key(own.get(), key.get()) == 1 &&
                    X509_check_issued(issuer.get(), own.get()) == X509_V_OK &&
                    X509_verify(own.get(), X509_get0_pubkey(issuer.get())) == 1 &&
                    X509_check_purpose(own.get(), purpose, 0) == 1 &&
                    X509_check_host(own.get(), dns_name.data(), dns_name.size(),
                                    X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace lb::net
