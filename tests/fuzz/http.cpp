// The HTTP front of both programs: bytes through a real unix socket, in two pieces, then the end.
//
// The server must answer in HTTP or close, at once: a client that has sent all it has never waits.
#include <unistd.h>

#include <filesystem>

#include "common/net/asio.hpp"
#include "common/net/http_server.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using namespace lb;
using lb::fuzz::must;
using Local = asio::local::stream_protocol;
using boost::system::error_code;

constexpr auto kPatience = std::chrono::seconds(10);
constexpr size_t kBodyLimit = 2000;

std::filesystem::path own_folder() {
  std::string pattern = std::filesystem::temp_directory_path() / "empalme-fuzz-XXXXXX";
  must(::mkdtemp(pattern.data()) != nullptr, "a folder for the socket");
  return pattern;
}

// The server of every input of this process.
class Front {
 public:
  Front() : folder_(own_folder()) {
    net::HttpServerOptions options;
    options.listen = net::UnixPath{(folder_ / "sock").string()};
    options.body_limit = [](const auto& method, const auto&) {
      return method == "GET" ? 0 : kBodyLimit;
    };
    auto server = net::HttpServer::start(
        io_, std::move(options),
        [this](const auto& request, auto respond) { answer(request, std::move(respond)); });
    must(server.ok(), "the server starts");
    server_ = std::move(server).value();
  }
  ~Front() {
    server_->stop();
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::string exchange(std::string_view bytes) {
    io_.restart();
    Local::socket socket(io_);
    socket.connect(Local::endpoint((folder_ / "sock").string()));
    std::string out;
    bool over = false;
    asio::async_read(socket, asio::dynamic_buffer(out), [&](error_code, size_t) { over = true; });
    send(socket, bytes);
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!over && std::chrono::steady_clock::now() < deadline) io_.run_one_until(deadline);
    must(over, "whoever has sent everything is answered or closed");
    return out;
  }

 private:
  // Half of the answers come later, as the admin's do.
  void answer(const net::HttpRequest& request, net::HttpServer::Respond respond) {
    auto response = net::text_response(200, request.target + request.body);
    if (request.body.empty()) return respond(std::move(response));
    asio::post(io_, [respond = std::move(respond), response] { respond(response); });
  }

  // A refusal may close the socket before everything is written; that is an answer too.
  void send(Local::socket& socket, std::string_view bytes) {
    error_code ignored;
    const size_t half = bytes.size() / 2;
    asio::write(socket, asio::buffer(bytes.substr(0, half)), ignored);
    io_.poll();
    asio::write(socket, asio::buffer(bytes.substr(half)), ignored);
    socket.shutdown(Local::socket::shutdown_send, ignored);
  }

  asio::io_context io_;
  std::filesystem::path folder_;
  std::unique_ptr<net::HttpServer> server_;
};

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // What fits into a socket buffer, so that this one thread can be client and server.
  constexpr size_t kMost = 64 * 1024;
  if (size > kMost) return 0;
  static Front front;
  const std::string answer = front.exchange(fuzz::as_text(data, size));
  must(answer.empty() || answer.starts_with("HTTP/1.1 "), "an answer is HTTP/1.1");
  return 0;
}
