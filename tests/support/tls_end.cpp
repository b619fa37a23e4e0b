#include "tests/support/tls_end.hpp"

#include <openssl/ssl.h>

namespace lb::test {

TlsEnd::TlsEnd(int socket, SSL_CTX* context) : ssl_(SSL_new(context)) {
  SSL_set_app_data(ssl_, this);
  SSL_set_info_callback(ssl_, &TlsEnd::on_info);
  SSL_set_fd(ssl_, socket);
}

TlsEnd::~TlsEnd() { SSL_free(ssl_); }

TlsEnd& TlsEnd::of(const SSL* ssl) { return *static_cast<TlsEnd*>(SSL_get_app_data(ssl)); }

void TlsEnd::on_info(const SSL* ssl, int where, int value) {
  if (where == SSL_CB_READ_ALERT) of(ssl).alert_ = value & 0xff;
}

bool TlsEnd::write(const std::string& text) {
  size_t sent = 0;
  return SSL_write_ex(ssl_, text.data(), text.size(), &sent) == 1 && sent == text.size();
}

std::string TlsEnd::read(size_t size) {
  std::string out(size, '\0');
  size_t had = 0, got = 0;
  while (had < size && SSL_read_ex(ssl_, out.data() + had, size - had, &got) == 1) had += got;
  out.resize(had);
  return out;
}

std::string TlsEnd::read_to_end() {
  std::string out, piece;
  while (!(piece = read(1)).empty()) out += piece;
  return out;
}

void TlsEnd::finish() { SSL_shutdown(ssl_); }

bool TlsEnd::change_keys() {
  return SSL_key_update(ssl_, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(ssl_) == 1;
}

bool TlsEnd::ended_well() const { return (SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN) != 0; }

bool TlsEnd::resumed() const { return SSL_session_reused(ssl_) == 1; }

std::string TlsEnd::protocol() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

std::string as_offered(const std::vector<std::string>& protocols) {
  std::string out;
  for (const auto& each : protocols) out += static_cast<char>(each.size()) + each;
  return out;
}

const unsigned char* bytes_of(const std::string& text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace lb::test
