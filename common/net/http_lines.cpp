#include "common/net/http_lines.hpp"

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http.hpp>
#include <limits>

#include "common/net/sockaddr.hpp"
#include "common/net/tls_stream.hpp"

namespace lb::net {

namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

namespace {

constexpr size_t kMaxHeader = 16 * 1024;
constexpr size_t kPiece = 16 * 1024;

auto awaitable(error_code& error) { return asio::redirect_error(asio::use_awaitable, error); }

http::request<http::empty_body> to_beast(const HttpRequest& from) {
  http::request<http::empty_body> out;
  out.version(11);
  out.method_string(from.method);
  out.target(from.target);
  out.set(http::field::host, "localhost");
  for (const auto& header : from.headers) out.set(header.name, header.value);
  return out;
}

Generic::endpoint to_generic(const SocketAddress& address) {
  const SockAddr raw = to_sockaddr(address);
  return Generic::endpoint(raw.get(), raw.length);
}

}  // namespace

struct HttpLines::Call {
  Call(HttpServerAddress s, HttpRequest r, std::chrono::milliseconds p, Handlers h)
      : server(std::move(s)), request(std::move(r)), patience(p), handlers(std::move(h)) {}

  const HttpServerAddress server;
  const HttpRequest request;
  const std::chrono::milliseconds patience;
  const Handlers handlers;
  PlainStream* open = nullptr;  // while there is one
  std::string pending;          // the beginning of a line
  bool cancelled = false;

  Error explain(const error_code& error, const char* code) const {
    const std::string where = to_string(server.address) + ": ";
    if (error == beast::error::timeout) return {"Timeout", where + "no answer in time"};
    return {code, where + error.message()};
  }
  Error about(const char* code, const char* what) const {
    return {code, to_string(server.address) + ": " + what};
  }

  // Nullopt: go on.
  std::optional<Error> take(std::string_view bytes) {
    while (!bytes.empty() && !cancelled) {
      const size_t end = bytes.find('\n');
      const auto part = bytes.substr(0, end);
      if (pending.size() + part.size() > kMaxLine) return about("TooLarge", "a line of over 1 MiB");
      pending += part;
      if (end == std::string_view::npos) break;
      bytes.remove_prefix(end + 1);
      tell_line();
    }
    return std::nullopt;
  }

 private:
  void tell_line() {
    std::string line = std::exchange(pending, {});
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) handlers.line(line);
  }
};

namespace {

using Call = HttpLines::Call;
using Parser = http::response_parser<http::buffer_body>;

template <class Stream>
asio::awaitable<Error> read_lines(Stream& stream, beast::flat_buffer& buffer, Parser& parser,
                                  Call& call) {
  std::array<char, kPiece> piece;
  error_code error;
  while (!parser.is_done() && !call.cancelled) {
    auto& body = parser.get().body();
    body.data = piece.data();
    body.size = piece.size();
    co_await http::async_read_some(stream, buffer, parser, awaitable(error));
    if (error == http::error::need_buffer) error = {};
    // What came before the connection broke is told of all the same.
    if (const auto trouble = call.take({piece.data(), piece.size() - body.size})) {
      co_return *trouble;
    }
    if (error) co_return call.explain(error, "Protocol");
  }
  co_return call.pending.empty() ? call.about("Ended", "the answer has ended")
                                 : call.about("Protocol", "the answer has ended within a line");
}

template <class Stream>
asio::awaitable<Error> follow(Stream& stream, PlainStream& socket, Call& call) {
  auto message = to_beast(call.request);
  error_code error;
  co_await http::async_write(stream, message, awaitable(error));
  if (error) co_return call.explain(error, "Protocol");
  beast::flat_buffer buffer;
  Parser parser;
  parser.header_limit(kMaxHeader);
  // Boost 1.74 takes "none" for less than any Content-Length.
  parser.body_limit(std::numeric_limits<uint64_t>::max());
  co_await http::async_read_header(stream, buffer, parser, awaitable(error));
  if (error) co_return call.explain(error, "Protocol");
  if (parser.get().result_int() != 200) {
    co_return call.about("Status", std::to_string(parser.get().result_int()).c_str());
  }
  socket.expires_never();
  if (!call.cancelled) call.handlers.opened();
  auto why = co_await read_lines(stream, buffer, parser, call);
  co_return why;
}

asio::awaitable<Error> follow_plain(PlainStream& stream, Call& call) {
  error_code error;
  co_await stream.async_connect(to_generic(call.server.address), awaitable(error));
  if (error) co_return call.explain(error, "Connect");
  auto why = co_await follow(stream, stream, call);
  co_return why;
}

asio::awaitable<Error> follow_tls(TlsStream& stream, Call& call) {
  error_code error;
  auto& socket = stream.next_layer();
  co_await socket.async_connect(to_generic(call.server.address), awaitable(error));
  if (error) co_return call.explain(error, "Connect");
  expect_server(stream, call.server.tls->peer_name(), call.server.address);
  co_await stream.async_handshake(asio::ssl::stream_base::client, awaitable(error));
  if (error) co_return call.explain(error, "Tls");
  auto why = co_await follow(stream, socket, call);
  co_return why;
}

void end(Call& call, Error error) {
  call.open = nullptr;
  if (!call.cancelled) call.handlers.ended(std::move(error));
}

asio::awaitable<void> run_plain(asio::io_context& io, std::shared_ptr<Call> call) {
  if (call->cancelled) co_return;
  PlainStream stream(io);
  call->open = &stream;
  stream.expires_after(call->patience);
  auto why = co_await follow_plain(stream, *call);
  end(*call, std::move(why));
}

asio::awaitable<void> run_tls(asio::io_context& io, std::shared_ptr<Call> call) {
  if (call->cancelled) co_return;
  const auto context = call->server.tls->current();
  if (!context) co_return end(*call, call->about("Tls", "there is no certificate to show yet"));
  TlsStream stream(io, *context);
  call->open = &stream.next_layer();
  stream.next_layer().expires_after(call->patience);
  auto why = co_await follow_tls(stream, *call);
  end(*call, std::move(why));
}

}  // namespace

HttpLines::HttpLines(asio::io_context& io, HttpServerAddress server, HttpRequest request,
                     std::chrono::milliseconds patience, Handlers handlers)
    : call_(std::make_shared<Call>(std::move(server), std::move(request), patience,
                                   std::move(handlers))) {
  asio::co_spawn(io, call_->server.tls ? run_tls(io, call_) : run_plain(io, call_), asio::detached);
}

HttpLines::~HttpLines() {
  call_->cancelled = true;
  if (call_->open != nullptr) call_->open->close();
}

}  // namespace lb::net
