#include "controller/kube/http_client_cpprest.hpp"

#include "controller/kube/line_splitter.hpp"

#include <utility>

#include <cpprest/containerstream.h>
#include <cpprest/http_client.h>
#include <pplx/threadpool.h>
#include <boost/asio/ssl.hpp>

#include <algorithm>
#include <atomic>

namespace lb::kube {
namespace {

namespace http = web::http;
using http::client::http_client;
using http::client::http_client_config;

constexpr int kThreads = 4;
constexpr size_t kBlock = 64 * 1024;

bool is_ip(const std::string& host) {
  return !host.empty() && host.find_first_not_of("0123456789.") == std::string::npos;
}

void load(boost::asio::ssl::context& context, const Credentials& credentials) {
  // A store of our own: the library fills the default one with every public CA.
  SSL_CTX_set_cert_store(context.native_handle(), X509_STORE_new());
  using boost::asio::buffer;
  if (const auto ca = credentials.ca(); ca && !ca->empty()) {
    context.add_certificate_authority(buffer(*ca));
  }
  const auto certificate = credentials.client_certificate();
  const auto key = credentials.client_key();
  if (certificate && key && !certificate->empty()) {
    context.use_certificate_chain(buffer(*certificate));
    context.use_private_key(buffer(*key), boost::asio::ssl::context::pem);
  }
}

class CpprestClient : public HttpClient {
 public:
  CpprestClient(std::shared_ptr<Credentials> credentials, HttpTimeouts timeouts)
      : credentials_(std::move(credentials)), timeouts_(timeouts) {}

  Result<net::HttpResponse> request(const net::HttpRequest& request) override {
    auto answer = once(request);
    const bool safe = request.method != "POST" && request.method != "DELETE";
    // A kept connection that the server closed meanwhile fails at once; a fresh one tells.
    if (!answer && safe && answer.error().code == "Connect") answer = once(request);
    return answer;
  }

  Result<net::HttpResponse> stream(const net::HttpRequest& request,
                                   const OnLine& on_line) override {
    return guarded([&]() -> Result<net::HttpResponse> {
      http_client client(credentials_->server(), config(timeouts_.idle));
      http::http_response response = client.request(message(request), token_).get();
      if (response.status_code() != 200) return whole(response);
      read_lines(response.body(), on_line);
      return net::HttpResponse{200, {}, {}};
    });
  }

  void cancel() override {
    cancelled_ = true;
    source_.cancel();
  }

 private:
  http_client_config config(std::chrono::milliseconds timeout) const {
    http_client_config out;
    out.set_timeout(timeout);
    const auto host = web::uri(credentials_->server()).host();
    out.set_tlsext_sni_enabled(!is_ip(host));  // RFC 6066: names only
    if (credentials_->insecure()) out.set_validate_certificates(false);
    out.set_ssl_context_callback([credentials = credentials_](boost::asio::ssl::context& context) {
      load(context, *credentials);
    });
    return out;
  }

  http::http_request message(const net::HttpRequest& from) {
    http::http_request out(from.method);
    out.set_request_uri(web::uri(from.target));
    for (const auto& header : from.headers) out.headers().add(header.name, header.value);
    if (const auto token = credentials_->token(); !token.empty()) {
      out.headers().add("Authorization", "Bearer " + token);
    }
    if (!from.body.empty()) {
      const auto type = net::find(from.headers, "Content-Type");
      out.set_body(from.body, type.value_or("application/json"));
    }
    return out;
  }

  Result<net::HttpResponse> once(const net::HttpRequest& request) {
    return guarded([&]() -> Result<net::HttpResponse> {
      if (!client_) {
        client_ = std::make_unique<http_client>(credentials_->server(), config(timeouts_.request));
      }
      return whole(client_->request(message(request), token_).get());
    });
  }

  static net::HttpResponse whole(http::http_response response) {
    net::HttpResponse out;
    out.status = response.status_code();
    for (const auto& [name, value] : response.headers()) out.headers.push_back({name, value});
    out.body = response.extract_utf8string(/*ignore_content_type=*/true).get();
    return out;
  }

  // The library's own read_line() takes each byte under a lock. What is there is taken as a whole
  // instead: asking for more than that would wait for it.
  void read_lines(concurrency::streams::istream body, const OnLine& on_line) {
    constexpr auto kEnd = concurrency::streams::char_traits<uint8_t>::eof;
    auto source = body.streambuf();
    LineSplitter lines;
    std::string block;
    while (source.getc().get() != kEnd()) {
      block.resize(std::clamp<size_t>(source.in_avail(), 1, kBlock));
      auto* to = reinterpret_cast<uint8_t*>(block.data());
      block.resize(source.getn(to, block.size()).get());
      if (!lines.add(block, on_line)) return;
    }
    lines.end(on_line);
  }

  // The library reports everything by exception, and its codes mean nothing (measured): what can
  // be told apart is our own cancel, certificates and time.
  template <class Call>
  Result<net::HttpResponse> guarded(Call call) {
    if (cancelled_) return Error{"Cancelled", "the client is closed"};
    try {
      return call();
    } catch (const std::exception& error) {
      if (cancelled_) return Error{"Cancelled", "the client is closed"};
      client_.reset();
      return explain(error.what());
    }
  }

  Error explain(const std::string& what) const {
    const std::string where = credentials_->server() + ": ";
    const auto says = [&](const char* part) { return what.find(part) != std::string::npos; };
    if (says("TLS") || says("SSL") || says("certificate") || says("verify")) {
      return {"Tls", where + what};
    }
    if (says("timed out") || says("timeout")) return {"Timeout", where + "no answer in time"};
    if (says("read") || says("parse")) return {"Closed", where + "the answer was cut short"};
    return {"Connect", where + "cannot be reached (" + what + ")"};
  }

  const std::shared_ptr<Credentials> credentials_;
  const HttpTimeouts timeouts_;
  std::unique_ptr<http_client> client_;
  pplx::cancellation_token_source source_;
  pplx::cancellation_token token_ = source_.get_token();
  std::atomic<bool> cancelled_{false};
};

}  // namespace

void initialize_http_threads() { crossplat::threadpool::initialize_with_threads(kThreads); }

Status check_server(const std::string& server) {
  if (server.find("://[") != std::string::npos) {
    return Error{"Credentials", server +
                                    ": an API server named by an IPv6 literal cannot be "
                                    "reached; name it by host name or IPv4 address"};
  }
  try {
    const web::uri parsed(server);
    if (!parsed.host().empty()) return Done{};
  } catch (const std::exception&) {
  }
  return Error{"Credentials", "'" + server + "' is no usable server URL"};
}

std::unique_ptr<HttpClient> make_cpprest_client(std::shared_ptr<Credentials> credentials,
                                                HttpTimeouts timeouts) {
  return std::make_unique<CpprestClient>(std::move(credentials), timeouts);
}

}  // namespace lb::kube
