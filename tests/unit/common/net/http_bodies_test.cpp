// How our server sends long bodies: without copies, in turns, and not to who does not read.
#include <gmock/gmock.h>

#include <future>
#include <thread>

#include "common/net/http_client.hpp"
#include "common/net/http_server.hpp"

namespace lb::net {
namespace {

using namespace std::chrono_literals;
using tcp = asio::ip::tcp;
using testing::HasSubstr;
using testing::Not;

constexpr size_t kLong = 32u << 20;  // more than two sockets hold

class HttpBodiesTest : public testing::Test {
 protected:
  void TearDown() override {
    asio::post(io_, [this] {
      if (server_) server_->stop();
    });
    work_.reset();
    if (thread_.joinable()) thread_.join();
  }

  void start(HttpServerOptions options) {
    options.listen = Endpoint{IpAddress::v4(0x7f000001), 0};
    auto server = HttpServer::start(io_, std::move(options), [this](const auto& request, auto to) {
      to(request.target == "/short" ? text_response(200, "short") : metrics_response(text_));
    });
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(server).value();
    thread_ = std::thread([this] { io_.run(); });
  }
  // Asks for the long text and leaves the answer where it is.
  tcp::socket ask_for_it(const std::string& method = "GET") {
    tcp::socket out(client_io_, tcp::v4());
    out.set_option(asio::socket_base::receive_buffer_size(64 * 1024));
    const auto local = std::get<Endpoint>(server_->local());
    out.connect({asio::ip::make_address(local.address.to_string()), local.port});
    asio::write(out, asio::buffer(method + " / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    return out;
  }
  static std::string read_all(tcp::socket& from) {
    std::string out;
    boost::system::error_code error;
    asio::read(from, asio::dynamic_buffer(out), error);
    return out;
  }
  Result<HttpResponse> get(const std::string& target) {
    return ask(server_->local(), {"GET", target, {}, {}}, 10s);
  }
  // As the server's own thread sees it.
  template <class Look>
  auto on_server(Look look) {
    std::promise<decltype(look())> out;
    asio::post(io_, [&] { out.set_value(look()); });
    return out.get_future().get();
  }
  bool comes_true(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!on_server(condition) && std::chrono::steady_clock::now() < end) {
      std::this_thread::yield();
    }
    return on_server(condition);
  }

  std::shared_ptr<const std::string> text_ = std::make_shared<const std::string>(kLong, 'x');
  asio::io_context io_, client_io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

TEST(HttpResponse, ItsTextIsWhicheverBodyThereIs) {
  EXPECT_EQ((HttpResponse{200, {}, "own"}).text(), "own");
  const HttpResponse shared{200, {}, "own", std::make_shared<const std::string>("shared")};
  EXPECT_EQ(shared.text(), "shared");
  EXPECT_EQ(shared, (HttpResponse{200, {}, "shared"}));
}

TEST_F(HttpBodiesTest, ASharedBodyArrivesWhole) {
  start({});
  const auto answer = get("/");
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer->body, *text_);
  EXPECT_EQ(find(answer->headers, "Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
}

TEST_F(HttpBodiesTest, ItsHeadHasItsLengthOnly) {
  start({});
  auto asked = ask_for_it("HEAD");
  const auto head = read_all(asked);
  EXPECT_THAT(head, HasSubstr("Content-Length: " + std::to_string(kLong) + "\r\n"));
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
}

TEST_F(HttpBodiesTest, ReadersAtTheSameTimeHoldTheOneText) {
  start(observe_options({}));
  std::vector<tcp::socket> readers;
  for (int i = 0; i < 8; ++i) readers.push_back(ask_for_it());
  ASSERT_TRUE(comes_true([this] { return text_.use_count() == 1 + 8; }));
  EXPECT_EQ(get("/short")->body, "short") << "nobody waits for them";
}

TEST_F(HttpBodiesTest, WhoDoesNotReadIsLetGoOfAndCounted) {
  HttpServerOptions options = observe_options({});
  options.write_timeout = 50ms;
  start(std::move(options));
  auto reader = ask_for_it();
  EXPECT_TRUE(comes_true([this] { return server_->counters().timeouts == 1; }));
  EXPECT_TRUE(comes_true([this] { return text_.use_count() == 1; }));
  EXPECT_LT(read_all(reader).size(), kLong);
}

// A deadline of an answer's own would have cut it off.
TEST_F(HttpBodiesTest, WhoReadsSteadilyGetsAllOfIt) {
  HttpServerOptions options = observe_options({});
  options.write_timeout = 500ms;
  start(std::move(options));
  auto reader = ask_for_it();
  std::string got(kLong / 8, ' ');
  size_t sum = 0;
  boost::system::error_code error;
  asio::steady_timer pace(client_io_);
  while (!error) {
    pace.expires_after(100ms);
    pace.wait();
    sum += asio::read(reader, asio::buffer(got), error);
  }
  EXPECT_GT(sum, kLong);
  EXPECT_EQ(on_server([this] { return server_->counters().timeouts; }), 0u);
}

TEST_F(HttpBodiesTest, WhatIsQueuedForWhoDoesNotReadIsLittle) {
  HttpServerOptions options = observe_options({});
  options.write_timeout = 50ms;
  start(std::move(options));
  auto reader = ask_for_it();
  ASSERT_TRUE(comes_true([this] { return server_->counters().timeouts == 1; }));
  EXPECT_LT(read_all(reader).size(), 1u << 20);
}

TEST_F(HttpBodiesTest, AnObserverHasFiveSeconds) {
  const auto options = observe_options(UnixPath{"/x"});
  EXPECT_EQ(options.write_timeout, 5s);
  EXPECT_EQ(options.send_buffer, kObserveSendBuffer);
  EXPECT_EQ(options.listen, SocketAddress(UnixPath{"/x"}));
}

}  // namespace
}  // namespace lb::net
