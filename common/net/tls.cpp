#include "common/net/tls.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "common/net/tls_stream.hpp"

namespace lb::net {
namespace {

constexpr std::chrono::seconds kLookAgain{1};

Error tls_error(const std::string& file, const boost::system::error_code& error) {
  return {"Tls", file + ": " + error.message()};
}

Status read_file(const std::string& path, std::string& out) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{"Tls", path + ": " + std::strerror(errno)};
  out.assign(std::istreambuf_iterator<char>(file), {});
  if (out.empty()) return Error{"Tls", path + " is empty"};
  return Done{};
}

}  // namespace

Result<std::shared_ptr<TlsIdentity>> TlsIdentity::load(TlsFiles files, TlsRole role,
                                                       std::string peer_name) {
  auto out = std::make_shared<TlsIdentity>(std::move(files), role, std::move(peer_name));
  if (const auto read = out->read(); !read) return read.error();
  return out;
}

std::shared_ptr<TlsIdentity> TlsIdentity::unset(TlsRole role, std::string peer_name) {
  return std::make_shared<TlsIdentity>(TlsFiles{}, role, std::move(peer_name));
}

TlsIdentity::TlsIdentity(TlsFiles files, TlsRole role, std::string peer_name)
    : files_(std::move(files)), role_(role), peer_name_(std::move(peer_name)) {}

Status TlsIdentity::read() {
  stamp_ = stamp();
  looked_ = std::chrono::steady_clock::now();
  TlsText text;
  if (!anonymous(files_.certificate, files_.key)) {
    if (const auto read = read_file(files_.certificate, text.certificate); !read) return read;
    if (const auto read = read_file(files_.key, text.key); !read) return read;
  }
  if (const auto read = read_file(files_.authority, text.authority); !read) return read;
  return use(text, files_);
}

Status TlsIdentity::replace(const TlsText& text) {
  const auto used = use(text, {"the certificate", "the key", "the authority's certificate"});
  ++(used ? reloads_ : reload_failures_);
  return used;
}

bool TlsIdentity::anonymous(const std::string& certificate, const std::string& key) const {
  return role_ == TlsRole::kClient && certificate.empty() && key.empty();
}

Status TlsIdentity::show(const TlsText& text, const TlsFiles& names, Context& context) {
  if (anonymous(text.certificate, text.key)) return Done{};
  boost::system::error_code error;
  context.use_certificate_chain(asio::buffer(text.certificate), error);
  if (error) return tls_error(names.certificate, error);
  context.use_private_key(asio::buffer(text.key), asio::ssl::context::pem, error);
  if (error) return tls_error(names.key, error);
  if (SSL_CTX_check_private_key(context.native_handle()) == 1) return Done{};
  return Error{"Tls", names.key + " is not the key of " + names.certificate};
}

// `names` is what an error calls the parts by.
Status TlsIdentity::use(const TlsText& text, const TlsFiles& names) {
  namespace ssl = asio::ssl;
  auto context = std::make_shared<Context>(role_ == TlsRole::kServer ? ssl::context::tls_server
                                                                     : ssl::context::tls_client);
  boost::system::error_code error;
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  if (const auto shown = show(text, names, *context); !shown) return shown;
  context->add_certificate_authority(asio::buffer(text.authority), error);
  if (error) return tls_error(names.authority, error);
  context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, error);
  if (error) return tls_error(names.authority, error);
  if (role_ == TlsRole::kServer)
    expect_peer(SSL_CTX_get0_param(context->native_handle()), peer_name_);
  context_ = std::move(context);
  return Done{};
}

// A Secret's files are links that move together: size, time and inode tell.
std::string TlsIdentity::stamp() const {
  std::string out;
  for (const auto* file : {&files_.certificate, &files_.key, &files_.authority}) {
    struct stat found {};
    if (::stat(file->c_str(), &found) != 0) continue;
    out += std::to_string(found.st_ino) + '.' + std::to_string(found.st_size) + '.' +
           std::to_string(found.st_mtim.tv_sec) + '.' + std::to_string(found.st_mtim.tv_nsec) + ' ';
  }
  return out;
}

std::shared_ptr<TlsIdentity::Context> TlsIdentity::current() {
  const auto now = std::chrono::steady_clock::now();
  if (!files_.any() || now - looked_ < kLookAgain) return context_;
  looked_ = now;
  if (stamp() == stamp_) return context_;
  if (read()) {
    ++reloads_;
  } else {
    ++reload_failures_;
  }
  return context_;
}

}  // namespace lb::net
