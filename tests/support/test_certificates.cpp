#include "tests/support/test_certificates.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <stdexcept>

namespace lb::test {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

Key make_key() { return {EVP_EC_gen("P-256"), EVP_PKEY_free}; }

void add_extension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
  if (extension == nullptr) throw std::runtime_error("bad extension " + value);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Certificate make_certificate(EVP_PKEY* key, const std::string& common_name) {
  Certificate out{X509_new(), X509_free};
  uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  X509_set_version(out.get(), 2);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(out.get()), serial >> 1);
  X509_gmtime_adj(X509_getm_notBefore(out.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(out.get()), 3600);
  X509_set_pubkey(out.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(out.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  return out;
}

template <class Write>
std::string write_file(const std::filesystem::path& path, Write write) {
  const std::string temporary = path.string() + ".new";
  FILE* file = std::fopen(temporary.c_str(), "w");
  if (file == nullptr) throw std::runtime_error("cannot write " + temporary);
  write(file);
  std::fclose(file);
  std::filesystem::rename(temporary, path);
  return path.string();
}

std::string write_certificate(const std::filesystem::path& path, X509* certificate) {
  return write_file(path, [&](FILE* file) { PEM_write_X509(file, certificate); });
}

}  // namespace

struct TestAuthority::Parts {
  Key key = make_key();
  Certificate certificate{nullptr, X509_free};
  std::string file;
};

TestAuthority::TestAuthority(std::filesystem::path folder, const std::string& name)
    : folder_(std::move(folder)), name_(name), parts_(new Parts) {
  parts_->certificate = make_certificate(parts_->key.get(), name);
  X509* own = parts_->certificate.get();
  X509_set_issuer_name(own, X509_get_subject_name(own));
  add_extension(own, own, NID_basic_constraints, "critical,CA:TRUE");
  X509_sign(own, parts_->key.get(), EVP_sha256());
  parts_->file = write_certificate(folder_ / (name + ".ca.pem"), own);
}

TestAuthority::~TestAuthority() { delete parts_; }

net::TlsFiles TestAuthority::issue(const std::string& name, const std::string& subject_names) {
  const Key key = make_key();
  const Certificate certificate = make_certificate(key.get(), name);
  X509* authority = parts_->certificate.get();
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(authority));
  add_extension(certificate.get(), authority, NID_subject_alt_name, subject_names);
  X509_sign(certificate.get(), parts_->key.get(), EVP_sha256());
  net::TlsFiles out;
  out.authority = parts_->file;
  out.certificate = write_certificate(folder_ / (name + ".pem"), certificate.get());
  out.key = write_file(folder_ / (name + ".key"), [&](FILE* file) {
    PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  return out;
}

}  // namespace lb::test
