// Our server against raw sockets and our client: answers, limits, deadlines, files in the way.
#include "common/net/http_server.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <new>
#include <optional>
#include <thread>

#include "common/net/fd.hpp"
#include "common/net/http_client.hpp"

namespace lb::net {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

// While it lives, this process can open nothing more.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit few = before_;
    few.rlim_cur = 256;
    setrlimit(RLIMIT_NOFILE, &few);
    for (int fd = ::open("/dev/null", O_RDONLY); fd >= 0; fd = ::open("/dev/null", O_RDONLY)) {
      taken_.emplace_back(fd);
    }
  }
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
  std::vector<Fd> taken_;
};

class HttpServerTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("empalme-http-" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
  }
  void TearDown() override {
    asio::post(io_, [this] {
      if (server_) server_->stop();
      io_.stop();  // a handler that never answers would keep it waiting
    });
    work_.reset();
    if (thread_.joinable()) thread_.join();
    std::filesystem::remove_all(folder_);
  }

  void start(HttpServerOptions options = {}) {
    if (std::holds_alternative<UnixPath>(options.listen)) {
      options.listen = Endpoint{IpAddress::parse("127.0.0.1").value(), 0};
    }
    serve(std::move(options));
  }
  void serve(HttpServerOptions options) {
    if (!options.body_limit) options.body_limit = [](auto&, auto&) { return size_t{1000}; };
    auto server =
        HttpServer::start(io_, std::move(options), [this](const auto& request, auto respond) {
          if (request.target == "/no-memory") throw std::bad_alloc();
          if (request.target == "/dropped") return;
          if (request.target == "/later") {
            return later_ = std::move(respond), void();
          }
          respond(text_response(200, request.method + " " + request.target + " " + request.body));
        });
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(server).value();
    thread_ = std::thread([this] { io_.run(); });
  }
  Result<HttpResponse> get(const std::string& target) {
    return ask(server_->local(), {"GET", target, {}, {}}, 5s);
  }
  asio::ip::tcp::endpoint where() const {
    const auto local = std::get<Endpoint>(server_->local());
    return {asio::ip::make_address(local.address.to_string()), local.port};
  }
  // Sends `bytes` as they are and reads to the end.
  std::string raw(const std::string& bytes) {
    asio::io_context io;
    asio::ip::tcp::socket socket(io);
    socket.connect(where());
    boost::system::error_code error;
    asio::write(socket, asio::buffer(bytes), error);
    std::string out;
    asio::read(socket, asio::dynamic_buffer(out), error);
    return out;
  }
  // As the server's own thread sees them.
  HttpServerCounters counters() {
    std::promise<HttpServerCounters> out;
    asio::post(io_, [&] { out.set_value(server_->counters()); });
    return out.get_future().get();
  }
  UnixPath unix_path() const { return {(folder_ / "sock").string()}; }

  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  std::unique_ptr<HttpServer> server_;
  HttpServer::Respond later_;
  std::thread thread_;
  std::filesystem::path folder_;
};

TEST_F(HttpServerTest, AHandlerWithoutMemoryIsAnsweredForAndTheNextRequestIsServed) {
  start();
  for (const char* target : {"/no-memory", "/dropped"}) {
    const auto answer = get(target);
    ASSERT_TRUE(answer.ok()) << target;
    EXPECT_EQ(answer->status, 503) << target;
    EXPECT_THAT(answer->body, HasSubstr("OutOfMemory"));
  }
  EXPECT_EQ(get("/next")->status, 200);
  EXPECT_EQ(server_->counters().no_memory, 2u);
}

TEST_F(HttpServerTest, AnAnswerDroppedLaterIsAnsweredFor) {
  start();
  auto answer = std::async(std::launch::async, [this] { return get("/later"); });
  bool held = false;
  while (!held) {
    std::promise<bool> seen;
    asio::post(io_, [&] { seen.set_value(std::exchange(later_, nullptr) != nullptr); });
    held = seen.get_future().get();
  }
  EXPECT_EQ(answer.get()->status, 503);
}

TEST_F(HttpServerTest, AnswersOverTcp) {
  start();
  const auto answer = ask(server_->local(), {"PUT", "/x?y=1", {}, "body"}, 5s);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "PUT /x?y=1 body");
}

TEST_F(HttpServerTest, AnswersOverAUnixSocketThatOthersCannotOpen) {
  serve({.listen = unix_path(), .body_limit = {}});
  EXPECT_TRUE(get("/").ok());
  struct stat socket {
  }, folder{};
  ASSERT_EQ(::stat(unix_path().path.c_str(), &socket), 0);
  ASSERT_EQ(::stat(folder_.c_str(), &folder), 0);
  EXPECT_EQ(socket.st_mode & 0777, 0660u);
  EXPECT_EQ(folder.st_mode & 0777, 0700u);
}

TEST_F(HttpServerTest, ReplacesTheSocketOfADeadProcess) {
  std::filesystem::create_directories(folder_);
  {
    asio::io_context io;
    asio::local::stream_protocol::acceptor dead(io, unix_path().path);
  }
  serve({.listen = unix_path(), .body_limit = {}});
  EXPECT_TRUE(get("/").ok());
}

TEST_F(HttpServerTest, DoesNotTakeTheSocketOfALivingProcess) {
  std::filesystem::create_directories(folder_);
  asio::io_context io;
  asio::local::stream_protocol::acceptor alive(io, unix_path().path);
  const auto second = HttpServer::start(io_, {.listen = unix_path(), .body_limit = {}}, {});
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.error().message, HasSubstr("another process"));
}

TEST_F(HttpServerTest, DoesNotRemoveAFileThatIsNoSocket) {
  std::filesystem::create_directories(folder_);
  std::ofstream(unix_path().path) << "precious";
  EXPECT_FALSE(HttpServer::start(io_, {.listen = unix_path(), .body_limit = {}}, {}).ok());
  EXPECT_TRUE(std::filesystem::exists(unix_path().path));
}

TEST_F(HttpServerTest, TakesItsSocketAwayWhenItStops) {
  serve({.listen = unix_path(), .body_limit = {}});
  TearDown();
  EXPECT_FALSE(std::filesystem::exists(unix_path().path));
}

TEST_F(HttpServerTest, AHandlerMayAnswerLater) {
  start();
  std::thread releaser([this] {
    for (int i = 0; i < 500; ++i) {
      std::promise<bool> seen;
      asio::post(io_, [&] {
        if (later_) later_(text_response(200, "at last"));
        seen.set_value(static_cast<bool>(later_));
      });
      if (seen.get_future().get()) return;
      std::this_thread::yield();
    }
  });
  const auto answer = get("/later");
  releaser.join();
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->body, "at last");
}

TEST_F(HttpServerTest, KeepsTheConnectionForTheNextRequest) {
  start();
  const auto out =
      raw("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\nConnection: "
          "close\r\n\r\n");
  EXPECT_THAT(out, HasSubstr("GET /1"));
  EXPECT_THAT(out, HasSubstr("GET /2"));
}

TEST_F(HttpServerTest, RefusesABodyByItsLength) {
  start();
  EXPECT_THAT(raw("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_EQ(counters().too_large, 1u);
}

TEST_F(HttpServerTest, RefusesAChunkedBodyOnceItIsTooLarge) {
  start();
  const std::string chunk = "400\r\n" + std::string(1024, 'x') + "\r\n";
  EXPECT_THAT(raw("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk),
              StartsWith("HTTP/1.1 413"));
}

TEST_F(HttpServerTest, TellsAClientOfOursThatItsBodyIsTooLarge) {
  start();
  const auto answer = ask(server_->local(), {"PUT", "/", {}, std::string(5'000'000, 'x')}, 5s);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer->status, 413);
}

TEST_F(HttpServerTest, RefusesAHeaderThatIsTooLarge) {
  start();
  EXPECT_THAT(raw("GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
}

TEST_F(HttpServerTest, RefusesWhatIsNoHttp) {
  start();
  EXPECT_THAT(raw("\x16\x03\x01 hello\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_EQ(counters().bad_requests, 1u);
}

TEST_F(HttpServerTest, EndsASenderThatIsTooSlow) {
  start({.listen = {}, .body_limit = {}, .head_timeout = 50ms});
  EXPECT_EQ(raw("GET / HTTP/1.1\r\n"), "");
  // The connection is closed a moment before its end is counted.
  for (int i = 0; i < 5000 && counters().timeouts == 0; ++i) std::this_thread::yield();
  EXPECT_EQ(counters().timeouts, 1u);
}

TEST_F(HttpServerTest, GoesOnWithABodyThatWasAnnounced) {
  start();
  const auto out =
      raw("PUT /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: "
          "2\r\nConnection: close\r\n\r\nhi");
  EXPECT_THAT(out, StartsWith("HTTP/1.1 100"));
  EXPECT_THAT(out, HasSubstr("PUT /x hi"));
}

TEST_F(HttpServerTest, ClosesConnectionsAboveItsLimit) {
  start({.listen = {}, .body_limit = {}, .max_connections = 0});
  EXPECT_EQ(raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "");
  EXPECT_EQ(counters().refused_connections, 1u);
}

TEST_F(HttpServerTest, AnswersOneAfterAnotherWhenDescriptorsHaveRunOut) {
  start();
  asio::io_context io;
  asio::ip::tcp::socket clients[] = {asio::ip::tcp::socket(io, asio::ip::tcp::v4()),
                                     asio::ip::tcp::socket(io, asio::ip::tcp::v4())};
  const NoDescriptors none;
  for (auto& client : clients) {
    client.connect(where());
    asio::write(client, asio::buffer("GET /x HTTP/1.1\r\nHost: x\r\n\r\n", 28));
    std::string out;
    boost::system::error_code error;
    asio::read(client, asio::dynamic_buffer(out), error);  // to the end: it is not kept
    EXPECT_THAT(out, StartsWith("HTTP/1.1 200"));
    EXPECT_THAT(out, HasSubstr("Connection: close"));
  }
}

TEST_F(HttpServerTest, WhoeverComesWhileNothingIsLeftIsServedLater) {
  start();
  asio::io_context io;
  asio::ip::tcp::socket idle(io, asio::ip::tcp::v4()), late(io, asio::ip::tcp::v4());
  {
    const NoDescriptors none;
    idle.connect(where());  // has the one that is kept for such times
    late.connect(where());
    for (int i = 0; i < 500 && counters().accept_failures == 0; ++i) {
      std::this_thread::sleep_for(10ms);
    }
    EXPECT_GT(counters().accept_failures, 0u);
  }
  asio::write(late, asio::buffer(std::string("GET /x HTTP/1.1\r\nHost: x\r\n"
                                             "Connection: close\r\n\r\n")));
  std::string out;
  boost::system::error_code error;
  asio::read(late, asio::dynamic_buffer(out), error);
  EXPECT_THAT(out, StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, ADrainLetsWhoeverHasConnectedFinish) {
  start();
  asio::io_context io;
  asio::ip::tcp::socket early(io);
  early.connect(where());
  std::promise<void> drained;
  asio::post(io_, [&] { server_->drain([&] { drained.set_value(); }); });
  auto over = drained.get_future();
  EXPECT_EQ(over.wait_for(20ms), std::future_status::timeout);
  asio::write(early, asio::buffer(std::string("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")));
  std::string out;
  boost::system::error_code error;
  asio::read(early, asio::dynamic_buffer(out), error);
  EXPECT_THAT(out, HasSubstr("Connection: close"));
  EXPECT_THAT(out, HasSubstr("GET /x"));
  EXPECT_EQ(over.wait_for(5s), std::future_status::ready);
  EXPECT_FALSE(get("/").ok());
}

TEST_F(HttpServerTest, ConnectionsThatSayNothingMakeRoom) {
  HttpServerOptions options;
  options.max_connections = 4;
  start(std::move(options));
  asio::io_context io;
  std::vector<asio::ip::tcp::socket> silent;
  for (int i = 0; i < 12; ++i) silent.emplace_back(io).connect(where());
  EXPECT_TRUE(get("/healthz").ok());
  EXPECT_GE(server_->counters().displaced, 1U);
}

TEST_F(HttpServerTest, ABodyThatNeverEndsMakesRoomToo) {
  HttpServerOptions options;
  options.max_connections = 4;
  start(std::move(options));
  asio::io_context io;
  std::vector<asio::ip::tcp::socket> slow;
  for (int i = 0; i < 8; ++i) {
    slow.emplace_back(io).connect(where());
    asio::write(slow.back(),
                asio::buffer(std::string("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")));
  }
  EXPECT_TRUE(get("/healthz").ok());
}

TEST(SocketFolder, OneThatOthersMayWriteToIsNotOurs) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("empalme-folder-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all);
  EXPECT_TRUE(check_private_folder(folder).ok());
  std::filesystem::permissions(folder, std::filesystem::perms::all);
  EXPECT_FALSE(check_private_folder(folder).ok());
  std::filesystem::remove_all(folder);
  EXPECT_FALSE(check_private_folder(folder).ok());
}

TEST(HttpClient, SaysThatNobodyIsThere) {
  const auto answer = ask(SocketAddress{UnixPath{"/nonexistent/empalme"}}, {}, 1s);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, "Connect");
  EXPECT_THAT(answer.error().message, HasSubstr("unix:/nonexistent/empalme"));
}

TEST_F(HttpServerTest, TheClientGivesUpInTime) {
  start();
  const auto answer = ask(server_->local(), {"GET", "/later", {}, {}}, 50ms);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, "Timeout");
}

TEST_F(HttpServerTest, AClientThatIsDestroyedAnswersCancelled) {
  start();
  asio::io_context io;
  std::optional<Result<HttpResponse>> answer;
  {
    HttpClient client(io, server_->local());
    client.request({"GET", "/later", {}, {}}, 5s, [&](auto result) { answer = result; });
    io.run_for(20ms);
  }
  io.restart();
  io.run_for(5s);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->error().code, "Cancelled");
}

}  // namespace
}  // namespace lb::net
