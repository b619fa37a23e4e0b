#include "common/net/http_client.hpp"

#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <set>
#include <type_traits>
#include <utility>

#include "common/net/sockaddr.hpp"
#include "common/net/tls_stream.hpp"

namespace lb::net {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr size_t kMaxHeader = 16 * 1024;
constexpr std::chrono::minutes kMaxAge{1};  // of a connection that is kept

auto awaitable(error_code& error) { return asio::redirect_error(asio::use_awaitable, error); }

using Message = http::request<http::string_body>;

Message to_beast(HttpRequest from, bool keep) {
  Message out;
  out.version(11);
  out.method_string(from.method);
  out.target(from.target);
  out.set(http::field::host, "localhost");
  out.keep_alive(keep);
  for (const auto& header : from.headers) out.set(header.name, header.value);
  out.body() = std::move(from.body);
  out.prepare_payload();
  return out;
}

bool idempotent(const std::string& method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE";
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

template <class Stream>
struct Connection {
  template <class... Arguments>
  explicit Connection(std::shared_ptr<asio::ssl::context> with, Arguments&&... arguments)
      : context(std::move(with)), stream(std::forward<Arguments>(arguments)...) {}

  PlainStream& socket() { return beast::get_lowest_layer(stream); }

  const std::shared_ptr<asio::ssl::context> context;  // null: plain
  Stream stream;
  beast::flat_buffer buffer;
  const Clock::time_point made = Clock::now();
};

// Nothing may come between two answers, not even an end.
bool quiet(PlainStream& stream) {
  char byte = 0;
  const auto got = ::recv(stream.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

struct Outcome {
  Result<HttpResponse> result = Error{"Cancelled", "the request was given up"};
  bool keep = false;    // the connection is good for another request
  bool silent = false;  // it was over before a byte of the answer
};

}  // namespace

struct HttpClient::Calls {
  Calls(asio::io_context& loop, HttpServerAddress address, bool keep_one, size_t most)
      : io(loop), server(std::move(address)), keep(keep_one), most_body(most) {}

  asio::io_context& io;
  const HttpServerAddress server;
  const bool keep;
  const size_t most_body;
  std::set<PlainStream*> open;  // of the requests under way
  uint64_t connects = 0;
  bool cancelled = false;
  std::shared_ptr<Connection<PlainStream>> plain;  // kept, as is the next
  std::shared_ptr<Connection<TlsStream>> tls;

  auto& kept(PlainStream*) { return plain; }
  auto& kept(TlsStream*) { return tls; }

  // Certificates that were replaced, and orders to be gone, are heeded after a minute.
  template <class Stream>
  std::shared_ptr<Connection<Stream>> take(const std::shared_ptr<asio::ssl::context>& context) {
    auto out = std::exchange(kept(static_cast<Stream*>(nullptr)), nullptr);
    const bool good = out && out->context == context && Clock::now() - out->made < kMaxAge &&
                      out->buffer.size() == 0 && quiet(out->socket());
    return good ? out : nullptr;
  }

  Error explain(const error_code& error, const char* code) const {
    if (cancelled) return {"Cancelled", "the request was given up"};
    const std::string where = to_string(server.address) + ": ";
    if (error == beast::error::timeout) return {"Timeout", where + "no answer in time"};
    if (error == http::error::body_limit) {
      return {"TooLarge", where + "an answer of more than " + std::to_string(most_body) + " bytes"};
    }
    return {code, where + error.message()};
  }
};

namespace {

template <class Calls>
std::shared_ptr<Connection<PlainStream>> make(Calls& calls, PlainStream*,
                                              std::shared_ptr<asio::ssl::context> none) {
  return std::make_shared<Connection<PlainStream>>(std::move(none), calls.io);
}

template <class Calls>
std::shared_ptr<Connection<TlsStream>> make(Calls& calls, TlsStream*,
                                            std::shared_ptr<asio::ssl::context> context) {
  auto& with = *context;
  return std::make_shared<Connection<TlsStream>>(std::move(context), calls.io, with);
}

template <class Stream, class Calls>
asio::awaitable<Status> connect(Connection<Stream>& to, Calls& calls) {
  ++calls.connects;
  error_code error;
  co_await to.socket().async_connect(to_generic(calls.server.address), awaitable(error));
  if (error) co_return calls.explain(error, "Connect");
  if constexpr (std::is_same_v<Stream, TlsStream>) {
    expect_server(to.stream, calls.server.tls->peer_name(), calls.server.address);
    co_await to.stream.async_handshake(asio::ssl::stream_base::client, awaitable(error));
    if (error) co_return calls.explain(error, "Tls");
  }
  co_return Done{};
}

template <class Stream, class Calls>
asio::awaitable<Outcome> exchange(Connection<Stream>& on, const Message& message, Calls& calls) {
  error_code error;
  co_await http::async_write(on.stream, message, awaitable(error));
  // A server that refuses early (413) closes its side: its answer is still there to be read.
  const error_code write_error = error;
  http::response_parser<http::string_body> parser;
  parser.header_limit(kMaxHeader);
  parser.body_limit(calls.most_body);
  // By itself: Beast 1.74 passes over the limit where the body comes along with the header.
  co_await http::async_read_header(on.stream, on.buffer, parser, awaitable(error));
  if (!error) co_await http::async_read(on.stream, on.buffer, parser, awaitable(error));
  Outcome out;
  if (error) {
    out.silent = !parser.got_some() && error != beast::error::timeout && !calls.cancelled;
    out.result = calls.explain(write_error ? write_error : error, "Protocol");
  } else {
    out.keep = calls.keep && !write_error && parser.keep_alive();
    out.result = from_beast(parser.release());
  }
  co_return out;
}

// On a connection that was kept, or on a new one.
template <class Stream, class Calls>
asio::awaitable<Outcome> attempt(std::shared_ptr<Connection<Stream>> on, bool fresh,
                                 const Message& message, std::chrono::milliseconds timeout,
                                 std::shared_ptr<Calls> calls) {
  calls->open.insert(&on->socket());
  on->socket().expires_after(timeout);
  Outcome out;
  Status ready = Done{};
  if (fresh) ready = co_await connect(*on, *calls);
  if (ready) {
    out = co_await exchange(*on, message, *calls);
  } else {
    out.result = ready.error();
  }
  calls->open.erase(&on->socket());
  out.keep = out.keep && !calls->cancelled;
  if (out.keep) {
    on->socket().expires_never();
    calls->kept(static_cast<Stream*>(nullptr)) = on;
  }
  co_return out;
}

template <class Stream, class Calls>
asio::awaitable<void> call(std::shared_ptr<asio::ssl::context> context, HttpRequest request,
                           std::chrono::milliseconds timeout, HttpClient::Done done,
                           std::shared_ptr<Calls> calls) {
  const bool twice = idempotent(request.method);
  const Message message = to_beast(std::move(request), calls->keep);
  Outcome out;
  auto on = calls->template take<Stream>(context);
  if (on) out = co_await attempt(on, false, message, timeout, calls);
  if (!on || (out.silent && twice)) {
    on = make(*calls, static_cast<Stream*>(nullptr), std::move(context));
    out = co_await attempt(on, true, message, timeout, calls);
  }
  on.reset();
  done(std::move(out.result));
}

}  // namespace

HttpClient::HttpClient(asio::io_context& io, HttpServerAddress server, Connections connections,
                       size_t most_body)
    : calls_(std::make_shared<Calls>(io, std::move(server), connections == Connections::kKept,
                                     most_body)) {}

HttpClient::~HttpClient() {
  calls_->cancelled = true;
  calls_->plain.reset();
  calls_->tls.reset();
  for (PlainStream* stream : calls_->open) stream->close();
}

uint64_t HttpClient::connects() const { return calls_->connects; }

void HttpClient::request(HttpRequest request, std::chrono::milliseconds timeout, Done done) {
  asio::io_context& io = calls_->io;
  if (!calls_->server.tls) {
    return asio::co_spawn(
        io, call<PlainStream>(nullptr, std::move(request), timeout, std::move(done), calls_),
        asio::detached);
  }
  auto context = calls_->server.tls->current();
  if (!context) {
    return asio::post(io, [done = std::move(done)] {
      done(Error{"Tls", "there is no certificate to show yet"});
    });
  }
  asio::co_spawn(
      io, call<TlsStream>(std::move(context), std::move(request), timeout, std::move(done), calls_),
      asio::detached);
}

Result<HttpResponse> ask(const HttpServerAddress& server, HttpRequest request,
                         std::chrono::milliseconds timeout) {
  asio::io_context io{1};
  HttpClient client(io, server, HttpClient::Connections::kOneEach);
  Result<HttpResponse> out = Error{"Cancelled", "the request was given up"};
  client.request(std::move(request), timeout,
                 [&](Result<HttpResponse> result) { out = std::move(result); });
  io.run();
  return out;
}

}  // namespace lb::net
