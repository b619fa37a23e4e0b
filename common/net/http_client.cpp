#include "common/net/http_client.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http.hpp>
#include <set>

#include "common/net/sockaddr.hpp"
#include "common/net/tls_stream.hpp"

namespace lb::net {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

constexpr size_t kMaxHeader = 16 * 1024;
constexpr size_t kMaxBody = 256u << 20;

auto awaitable(error_code& error) { return asio::redirect_error(asio::use_awaitable, error); }

http::request<http::string_body> to_beast(HttpRequest from) {
  http::request<http::string_body> out;
  out.version(11);
  out.method_string(from.method);
  out.target(from.target);
  out.set(http::field::host, "localhost");
  out.keep_alive(false);
  for (const auto& header : from.headers) out.set(header.name, header.value);
  out.body() = std::move(from.body);
  out.prepare_payload();
  return out;
}

HttpResponse from_beast(http::response<http::string_body> from) {
  HttpResponse out;
  out.status = static_cast<int>(from.result_int());
  for (const auto& field : from) {
    out.headers.push_back({std::string(field.name_string()), std::string(field.value())});
  }
  out.body = std::move(from.body());
  return out;
}

Generic::endpoint to_generic(const SocketAddress& address) {
  const SockAddr raw = to_sockaddr(address);
  return Generic::endpoint(raw.get(), raw.length);
}

}  // namespace

struct HttpClient::Calls {
  std::set<PlainStream*> open;
  bool cancelled = false;

  Error explain(const error_code& error, const char* code, const SocketAddress& server) const {
    if (cancelled) return {"Cancelled", "the request was given up"};
    const std::string where = to_string(server) + ": ";
    if (error == beast::error::timeout) return {"Timeout", where + "no answer in time"};
    return {code, where + error.message()};
  }
};

namespace {

template <class Stream, class Calls>
asio::awaitable<Result<HttpResponse>> exchange(Stream& stream, const SocketAddress& server,
                                               HttpRequest request, std::shared_ptr<Calls> calls) {
  auto message = to_beast(std::move(request));
  error_code error;
  co_await http::async_write(stream, message, awaitable(error));
  // A server that refuses early (413) closes its side: its answer is still there to be read.
  const error_code write_error = error;
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.header_limit(kMaxHeader);
  parser.body_limit(kMaxBody);
  co_await http::async_read(stream, buffer, parser, awaitable(error));
  if (error) co_return calls->explain(write_error ? write_error : error, "Protocol", server);
  co_return from_beast(parser.release());
}

template <class Calls>
asio::awaitable<Result<HttpResponse>> exchange_plain(PlainStream& stream,
                                                     const SocketAddress& server,
                                                     HttpRequest request,
                                                     std::shared_ptr<Calls> calls) {
  error_code error;
  co_await stream.async_connect(to_generic(server), awaitable(error));
  if (error) co_return calls->explain(error, "Connect", server);
  auto result = co_await exchange(stream, server, std::move(request), calls);
  co_return result;
}

template <class Calls>
asio::awaitable<Result<HttpResponse>> exchange_tls(TlsStream& stream, const std::string& name,
                                                   const SocketAddress& server, HttpRequest request,
                                                   std::shared_ptr<Calls> calls) {
  error_code error;
  co_await stream.next_layer().async_connect(to_generic(server), awaitable(error));
  if (error) co_return calls->explain(error, "Connect", server);
  expect_server(stream, name, server);
  co_await stream.async_handshake(asio::ssl::stream_base::client, awaitable(error));
  if (error) co_return calls->explain(error, "Tls", server);
  auto result = co_await exchange(stream, server, std::move(request), calls);
  co_return result;
}

template <class Calls>
asio::awaitable<void> call(asio::io_context& io, HttpServerAddress server, HttpRequest request,
                           std::chrono::milliseconds timeout, HttpClient::Done done,
                           std::shared_ptr<Calls> calls) {
  PlainStream stream(io);
  calls->open.insert(&stream);
  stream.expires_after(timeout);
  auto result = co_await exchange_plain(stream, server.address, std::move(request), calls);
  calls->open.erase(&stream);
  done(std::move(result));
}

template <class Calls>
asio::awaitable<void> call_tls(asio::io_context& io, HttpServerAddress server, HttpRequest request,
                               std::chrono::milliseconds timeout, HttpClient::Done done,
                               std::shared_ptr<Calls> calls) {
  const auto context = server.tls->current();
  if (!context) co_return done(Error{"Tls", "there is no certificate to show yet"});
  TlsStream stream(io, *context);
  PlainStream& socket = stream.next_layer();
  calls->open.insert(&socket);
  socket.expires_after(timeout);
  auto result = co_await exchange_tls(stream, server.tls->peer_name(), server.address,
                                      std::move(request), calls);
  calls->open.erase(&socket);
  done(std::move(result));
}

}  // namespace

HttpClient::HttpClient(asio::io_context& io, HttpServerAddress server)
    : io_(io), server_(std::move(server)), calls_(std::make_shared<Calls>()) {}

HttpClient::~HttpClient() {
  calls_->cancelled = true;
  for (PlainStream* stream : calls_->open) stream->close();
}

void HttpClient::request(HttpRequest request, std::chrono::milliseconds timeout, Done done) {
  auto whole = server_.tls
                   ? call_tls(io_, server_, std::move(request), timeout, std::move(done), calls_)
                   : call(io_, server_, std::move(request), timeout, std::move(done), calls_);
  asio::co_spawn(io_, std::move(whole), asio::detached);
}

Result<HttpResponse> ask(const HttpServerAddress& server, HttpRequest request,
                         std::chrono::milliseconds timeout) {
  asio::io_context io{1};
  HttpClient client(io, server);
  Result<HttpResponse> out = Error{"Cancelled", "the request was given up"};
  client.request(std::move(request), timeout,
                 [&](Result<HttpResponse> result) { out = std::move(result); });
  io.run();
  return out;
}

}  // namespace lb::net
