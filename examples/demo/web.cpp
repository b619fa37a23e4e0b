// A small web server to balance: says its name, takes its time when asked to, and finishes what it
// holds when it is told to stop.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <iostream>
#include <memory>

#include "common/net/http_server.hpp"
#include "common/ops/shutdown.hpp"

namespace {

namespace asio = lb::asio;
namespace net = lb::net;

constexpr unsigned kMaxDelayMs = 600'000;

std::string host_name() {
  char name[256] = "";
  ::gethostname(name, sizeof name - 1);
  return name;
}

// N of "/slow?ms=N", 0 for any other target.
unsigned delay_of(const std::string& target) {
  constexpr std::string_view kSlow = "/slow?ms=";
  unsigned out = 0;
  if (!target.starts_with(kSlow)) return 0;
  std::from_chars(target.data() + kSlow.size(), target.data() + target.size(), out);
  return std::min(out, kMaxDelayMs);
}

struct Web {
  asio::io_context io{1};
  std::string name;
  std::unique_ptr<net::HttpServer> server;

  void answer(const net::HttpRequest& request, net::HttpServer::Respond respond) {
    const auto response = net::text_response(200, name + "\n");
    const unsigned delay = delay_of(request.target);
    if (delay == 0) return respond(response);
    auto timer = std::make_shared<asio::steady_timer>(io, std::chrono::milliseconds(delay));
    timer->async_wait([timer, respond, response](const auto&) { respond(response); });
  }

  int run(const lb::Endpoint& listen) {
    auto started = net::HttpServer::start(
        io, {.listen = listen, .body_limit = {}, .max_connections = 20'000},
        [this](const auto& request, auto respond) { answer(request, std::move(respond)); });
    if (!started) {
      std::cerr << started.error().message << "\n";
      return 1;
    }
    server = std::move(started).value();
    std::cout << name << " answers on " << to_string(server->local()) << std::endl;
    lb::ops::Shutdown shutdown(io, [this] { server->drain([this] { io.stop(); }); });
    io.run();
    return 0;
  }
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "A web server to balance: GET / says its name, GET /slow?ms=N takes that long; at "
      "SIGTERM it finishes what it holds",
      "empalme-demo-web"};
  Web web;
  web.name = host_name();
  std::string listen = "0.0.0.0:8080";
  app.add_option("--name", web.name, "What it says")->capture_default_str();
  app.add_option("--listen", listen, "ADDRESS:PORT")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const auto endpoint = lb::parse_endpoint(listen);
  if (!endpoint) {
    std::cerr << "--listen: " << endpoint.error().message << "\n";
    return 2;
  }
  return web.run(*endpoint);
}
