// The adapter on cpprestsdk against a raw server: chunks, ends, cancel, and connections gone stale.
#include <gmock/gmock.h>

#include <chrono>
#include <future>
#include <thread>

#include "common/net/asio.hpp"
#include "controller/kube/http_client_cpprest.hpp"

namespace lb::kube {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;
using testing::ElementsAre;

// Accepts one connection after the other and does with each what the test says.
class RawServer {
 public:
  using Handler = std::function<void(tcp::socket&)>;
  explicit RawServer(std::vector<Handler> handlers) : handlers_(std::move(handlers)) {
    thread_ = std::thread([this] {
      for (auto& handler : handlers_) {
        boost::system::error_code error;
        tcp::socket socket(io_);
        acceptor_.accept(socket, error);
        if (error) return;
        handler(socket);
      }
    });
  }
  // shutdown(2) wakes a thread that waits in accept(2); closing would not.
  ~RawServer() {
    ::shutdown(acceptor_.native_handle(), SHUT_RDWR);
    thread_.join();
  }
  std::string url() const {
    return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port());
  }
  static std::string read_head(tcp::socket& socket) {
    std::string text;
    boost::system::error_code ignored;
    asio::read_until(socket, asio::dynamic_buffer(text), "\r\n\r\n", ignored);
    return text;
  }
  static void write(tcp::socket& socket, const std::string& text) {
    boost::system::error_code ignored;
    asio::write(socket, asio::buffer(text), ignored);
  }

 private:
  std::vector<Handler> handlers_;
  asio::io_context io_;
  tcp::acceptor acceptor_{io_, {asio::ip::address_v4::loopback(), 0}};
  std::thread thread_;
};

std::unique_ptr<HttpClient> client_of(const RawServer& server, HttpTimeouts timeouts = {}) {
  ClusterAccess access;
  access.server = server.url();
  access.token.text = "sesame";
  return make_cpprest_client(std::make_shared<Credentials>(std::move(access)), timeouts);
}

std::string chunk(const std::string& text) {
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", text.size());
  return size + text + "\r\n";
}
constexpr char kChunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST(CpprestClient, SendsMethodBodyTypeAndToken) {
  std::string seen;
  RawServer server({[&](tcp::socket& socket) {
    seen = RawServer::read_head(socket);
    RawServer::write(socket, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nok");
  }});
  const auto answer = client_of(server)->request(
      {"PATCH", "/a?b=c", {{"Content-Type", "application/merge-patch+json"}}, "{}"});
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer->body, "ok");
  EXPECT_EQ(net::find(answer->headers, "x"), "y");
  EXPECT_NE(seen.find("PATCH /a?b=c HTTP/1.1"), std::string::npos);
  EXPECT_NE(seen.find("Authorization:Bearer sesame"), std::string::npos) << seen;
  EXPECT_NE(seen.find("application/merge-patch+json"), std::string::npos);
}

TEST(CpprestClient, HandsLinesOverWhereverChunksAreCut) {
  RawServer server({[](tcp::socket& socket) {
    RawServer::read_head(socket);
    RawServer::write(socket, kChunked + chunk("on") + chunk("e\ntw") + chunk("o\n") + "0\r\n\r\n");
  }});
  std::vector<std::string> lines;
  const auto answer = client_of(server)->stream({"GET", "/", {}, {}}, [&](std::string line) {
    lines.push_back(std::move(line));
    return true;
  });
  EXPECT_TRUE(answer.ok());
  EXPECT_THAT(lines, ElementsAre("one", "two"));
}

TEST(CpprestClient, AStatusOtherThan200ComesBackWhole) {
  RawServer server({[](tcp::socket& socket) {
    RawServer::read_head(socket);
    RawServer::write(socket, "HTTP/1.1 410 Gone\r\nContent-Length: 4\r\n\r\ngone");
  }});
  const auto answer =
      client_of(server)->stream({"GET", "/", {}, {}}, [](std::string) { return true; });
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->status, 410);
  EXPECT_EQ(answer->body, "gone");
}

TEST(CpprestClient, AStreamThatIsCutIsAnError) {
  RawServer server({[](tcp::socket& socket) {
    RawServer::read_head(socket);
    RawServer::write(socket, kChunked + chunk("one\n"));
  }});
  const auto answer =
      client_of(server)->stream({"GET", "/", {}, {}}, [](std::string) { return true; });
  EXPECT_FALSE(answer.ok());
}

TEST(CpprestClient, CancelEndsAnIdleStreamAtOnce) {
  std::promise<void> streaming, over;
  RawServer server({[&](tcp::socket& socket) {
    RawServer::read_head(socket);
    RawServer::write(socket, kChunked + chunk("one\n"));
    over.get_future().wait();
  }});
  const auto client = client_of(server);
  std::thread canceller([&] {
    streaming.get_future().wait();
    client->cancel();
  });
  const auto answer = client->stream({"GET", "/", {}, {}}, [&](std::string) {
    streaming.set_value();
    return true;
  });
  over.set_value();
  canceller.join();
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, "Cancelled");
  EXPECT_EQ(client->request({}).error().code, "Cancelled") << "for good";
}

TEST(CpprestClient, AStreamThatSaysNothingTimesOut) {
  std::promise<void> over;
  RawServer server({[&](tcp::socket& socket) {
    RawServer::read_head(socket);
    RawServer::write(socket, kChunked);
    over.get_future().wait();
  }});
  const auto answer = client_of(server, {.request = 10s, .idle = 1s})
                          ->stream({"GET", "/", {}, {}}, [](std::string) { return true; });
  over.set_value();
  EXPECT_FALSE(answer.ok());
}

TEST(CpprestClient, AKeptConnectionThatWasClosedIsTriedAfresh) {
  const auto answer_once = [](tcp::socket& socket) {
    RawServer::read_head(socket);
    RawServer::write(socket, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  };
  RawServer server({answer_once, answer_once});
  const auto client = client_of(server);
  EXPECT_TRUE(client->request({"PUT", "/", {}, "{}"}).ok());
  EXPECT_TRUE(client->request({"PUT", "/", {}, "{}"}).ok());
}

TEST(CpprestClient, SaysThatNobodyIsThere) {
  ClusterAccess access;
  access.server = "http://127.0.0.1:1";
  const auto answer = make_cpprest_client(std::make_shared<Credentials>(access), {})->request({});
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, "Connect");
}

}  // namespace
}  // namespace lb::kube
