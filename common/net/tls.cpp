#include "common/net/tls.hpp"

#include <sys/stat.h>

#include "common/net/tls_stream.hpp"

namespace lb::net {
namespace {

constexpr std::chrono::seconds kLookAgain{1};

Error tls_error(const std::string& file, const boost::system::error_code& error) {
  return {"Tls", file + ": " + error.message()};
}

}  // namespace

Result<std::shared_ptr<TlsIdentity>> TlsIdentity::load(TlsFiles files, TlsRole role,
                                                       std::string server_name) {
  auto out = std::make_shared<TlsIdentity>(std::move(files), role, std::move(server_name));
  if (const auto read = out->read(); !read) return read.error();
  return out;
}

TlsIdentity::TlsIdentity(TlsFiles files, TlsRole role, std::string server_name)
    : files_(std::move(files)), role_(role), server_name_(std::move(server_name)) {}

Status TlsIdentity::read() {
  namespace ssl = asio::ssl;
  stamp_ = stamp();
  looked_ = std::chrono::steady_clock::now();
  auto context = std::make_shared<Context>(role_ == TlsRole::kServer ? ssl::context::tls_server
                                                                     : ssl::context::tls_client);
  boost::system::error_code error;
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  context->use_certificate_chain_file(files_.certificate, error);
  if (error) return tls_error(files_.certificate, error);
  context->use_private_key_file(files_.key, ssl::context::pem, error);
  if (error) return tls_error(files_.key, error);
  if (SSL_CTX_check_private_key(context->native_handle()) != 1) {
    return Error{"Tls", files_.key + " is not the key of " + files_.certificate};
  }
  context->load_verify_file(files_.authority, error);
  if (error) return tls_error(files_.authority, error);
  context->set_verify_mode(ssl::verify_peer | ssl::verify_fail_if_no_peer_cert, error);
  if (error) return tls_error(files_.authority, error);
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
  if (now - looked_ < kLookAgain) return context_;
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
