// Drives requests, one connection each, and says what became of every one of them.
#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fstream>
#include <iostream>
#include <memory>

#include "common/model/address.hpp"
#include "common/net/asio.hpp"
#include "common/ops/shutdown.hpp"
#include "examples/demo/load_report.hpp"

namespace {

namespace asio = lb::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

struct Options {
  std::string target;
  std::vector<std::string> sources;
  std::string path = "/";
  unsigned concurrency = 8;
  double seconds = 10;
  uint64_t count = 0;
  double rate = 0;
  unsigned timeout_ms = 5'000;
  std::string log;
};

demo::UnixMs now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

std::string cause(const error_code& error) {
  if (error == asio::error::connection_refused) return "refused";
  if (error == asio::error::connection_reset || error == asio::error::broken_pipe) return "reset";
  if (error == asio::error::operation_aborted) return "timeout";
  if (error == asio::error::timed_out) return "timeout";
  if (error == asio::error::eof) return "eof";
  if (error == asio::error::host_unreachable || error == asio::error::network_unreachable) {
    return "unreachable";
  }
  return error.message();
}

// The body's first line, when the answer is a whole 200.
std::string backend_of(const std::string& answer) {
  const size_t body = answer.find("\r\n\r\n");
  if (!answer.starts_with("HTTP/1.1 200") || body == std::string::npos) return {};
  const std::string text = answer.substr(body + 4);
  return text.ends_with('\n') ? text.substr(0, text.size() - 1) : std::string{};
}

class Load {
 public:
  Load(Options options, lb::Endpoint target) : options_(std::move(options)) {
    target_ = {asio::ip::make_address(target.address.to_string()), target.port};
    for (const auto& source : options_.sources) sources_.push_back(asio::ip::make_address(source));
    if (!options_.log.empty()) log_.open(options_.log);
  }

  int run() {
    started_ = std::chrono::steady_clock::now();
    lb::ops::Shutdown shutdown(io_, [this] { stopping_ = true; });
    running_ = options_.concurrency;
    for (unsigned i = 0; i < options_.concurrency; ++i) {
      asio::co_spawn(io_, worker(), [this, &shutdown](const std::exception_ptr&) {
        if (--running_ == 0) shutdown.forget();
      });
    }
    io_.run();
    std::cout << report_.to_json() << std::endl;
    return report_.failed() == 0 && report_.ok() > 0 ? 0 : 1;
  }

 private:
  bool over() const {
    if (stopping_) return true;
    if (options_.count != 0) return begun_ >= options_.count;
    return std::chrono::steady_clock::now() - started_ >=
           std::chrono::duration<double>(options_.seconds);
  }

  asio::awaitable<void> worker() {
    while (!over()) {
      const uint64_t number = begun_++;
      co_await await_turn(number);
      if (stopping_) co_return;
      demo::Outcome outcome;
      outcome.began = now_ms();
      co_await request(number, outcome);
      outcome.ended = now_ms();
      note(outcome);
    }
  }

  // With a rate, request N begins at its own time, whatever became of those before.
  asio::awaitable<void> await_turn(uint64_t number) {
    if (options_.rate <= 0) co_return;
    asio::steady_timer timer(io_);
    timer.expires_at(
        started_ + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                       std::chrono::duration<double>(static_cast<double>(number) / options_.rate)));
    error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }

  asio::awaitable<void> request(uint64_t number, demo::Outcome& outcome) {
    auto socket = std::make_shared<tcp::socket>(io_, target_.protocol());
    asio::steady_timer deadline(io_, std::chrono::milliseconds(options_.timeout_ms));
    deadline.async_wait([socket](const error_code& error) {
      error_code ignored;
      if (!error) socket->close(ignored);
    });
    error_code error;
    if (!sources_.empty()) socket->bind({sources_[number % sources_.size()], 0}, error);
    if (!error) {
      co_await socket->async_connect(target_, asio::redirect_error(asio::use_awaitable, error));
    }
    const std::string text =
        "GET " + options_.path + " HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n";
    if (!error) {
      co_await asio::async_write(*socket, asio::buffer(text),
                                 asio::redirect_error(asio::use_awaitable, error));
    }
    std::string answer;
    if (!error) {
      co_await asio::async_read(*socket, asio::dynamic_buffer(answer),
                                asio::redirect_error(asio::use_awaitable, error));
    }
    judge(error, answer, outcome);
  }

  static void judge(const error_code& error, const std::string& answer, demo::Outcome& outcome) {
    outcome.backend = backend_of(answer);
    if (!outcome.backend.empty() && error == asio::error::eof) return;
    outcome.failure = cause(error);
    if (error == asio::error::eof && !answer.empty()) outcome.failure = "bad";
  }

  void note(const demo::Outcome& outcome) {
    report_.add(outcome);
    if (!log_.is_open()) return;
    log_ << outcome.began << ' ' << outcome.ended << ' '
         << (outcome.failure.empty() ? outcome.backend : "FAILED:" + outcome.failure) << '\n';
  }

  Options options_;
  asio::io_context io_{1};
  tcp::endpoint target_;
  std::vector<asio::ip::address> sources_;
  std::ofstream log_;
  demo::LoadReport report_;
  std::chrono::steady_clock::time_point started_;
  uint64_t begun_ = 0;
  unsigned running_ = 0;
  bool stopping_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Drives requests, a connection each, and prints as JSON what became of them; exit "
      "code 0 when all were answered",
      "empalme-demo-load"};
  Options options;
  app.add_option("--target", options.target, "ADDRESS:PORT")->required();
  app.add_option("--source", options.sources, "Addresses to connect from, in turn")->delimiter(',');
  app.add_option("--path", options.path, "What to ask for")->capture_default_str();
  app.add_option("--concurrency", options.concurrency, "Connections at a time")
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "How long")->capture_default_str();
  app.add_option("--count", options.count, "How many, instead of how long");
  app.add_option("--rate", options.rate, "Requests a second, instead of as many as will go");
  app.add_option("--timeout-ms", options.timeout_ms, "For one request")->capture_default_str();
  app.add_option("--log", options.log, "File for one line for each request");
  CLI11_PARSE(app, argc, argv);
  const auto target = lb::parse_endpoint(options.target);
  if (!target) {
    std::cerr << "--target: " << target.error().message << "\n";
    return 2;
  }
  return Load(std::move(options), *target).run();
}
