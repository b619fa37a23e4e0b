#include "dataplane/health/tls_probe.hpp"

#include <exception>
#include <optional>
#include <utility>

#include <boost/asio/ssl.hpp>

namespace lb::health {

struct TlsContext {
  TlsContext() : ssl(asio::ssl::context::tls_client) {
    SSL_CTX_set_min_proto_version(ssl.native_handle(), TLS1_2_VERSION);
    SSL_CTX_set_verify(ssl.native_handle(), SSL_VERIFY_NONE, nullptr);
    // The handshakes are ours alone, and short: their buffers need not wait for the next.
    SSL_CTX_set_mode(ssl.native_handle(), SSL_MODE_RELEASE_BUFFERS);
  }

  asio::ssl::context ssl;
};

namespace {

class TlsProbe : public Probe {
 public:
  TlsProbe(const ProbeSetting& setting, const Check& check, Done done,
           std::shared_ptr<TlsContext> context)
      : Probe(setting, check, std::move(done)), context_(std::move(context)) {}

 private:
  using Stream = asio::ssl::stream<asio::ip::tcp::socket&>;

  void connected() override;
  bool make_stream();
  void shaken(const boost::system::error_code& error);

  std::shared_ptr<TlsContext> context_;
  std::optional<Stream> stream_;
};

// Asio's stream has no way but an exception to say that OpenSSL has no memory.
bool TlsProbe::make_stream() {
  if (!context_) return false;
  try {
    stream_.emplace(socket(), context_->ssl);
  } catch (const std::exception&) {
    return false;
  }
  const std::string& name = check().policy.host;
  return name.empty() || SSL_set_tlsext_host_name(stream_->native_handle(), name.c_str()) == 1;
}

void TlsProbe::connected() {
  if (!make_stream()) return finish({Outcome::kOwnWant, "OurOwnWant: no TLS context"});
  stream_->async_handshake(Stream::client, [this, self = shared_from_this()](const auto& error) {
    if (!over()) shaken(error);
  });
}

void TlsProbe::shaken(const boost::system::error_code& error) {
  if (!error) return finish({});
  if (error.category() == boost::system::system_category()) return finish_errno(error.value());
  const bool closed = error == asio::error::eof || error == asio::ssl::error::stream_truncated;
  finish({Outcome::kFailure, "TlsHandshake: " + (closed ? "closed by the peer" : error.message())});
}

}  // namespace

std::shared_ptr<TlsContext> make_tls_context() {
  try {
    return std::make_shared<TlsContext>();
  } catch (const std::exception&) {
    return nullptr;
  }
}

std::shared_ptr<Probe> make_tls_probe(const ProbeSetting& setting, const Check& check,
                                      Probe::Done done, std::shared_ptr<TlsContext> context) {
  return std::make_shared<TlsProbe>(setting, check, std::move(done), std::move(context));
}

}  // namespace lb::health
