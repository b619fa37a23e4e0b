// Which connection our client uses: kept ones, fresh ones, and what becomes of one that has ended.
#include "common/net/http_client.hpp"

#include <gmock/gmock.h>

#include <functional>
#include <future>
#include <thread>

#include "common/net/http_server.hpp"

namespace lb::net {
namespace {

using namespace std::chrono_literals;
using tcp = asio::ip::tcp;

// A server of raw sockets that does what a test says, on a thread of its own.
class RawServer {
 public:
  using Script = std::function<void(RawServer&)>;

  explicit RawServer(Script script)
      : acceptor_(io_, {asio::ip::make_address("127.0.0.1"), 0}),
        thread_([this, script = std::move(script)] { script(*this); }) {}
  ~RawServer() { thread_.join(); }

  HttpServerAddress address() const {
    return SocketAddress(
        Endpoint{IpAddress::parse("127.0.0.1").value(), acceptor_.local_endpoint().port()});
  }
  tcp::socket accept() { return acceptor_.accept(); }
  // One request without a body; what came of it when there is no whole one.
  static std::string hear(tcp::socket& from) {
    std::string out;
    boost::system::error_code error;
    asio::read_until(from, asio::dynamic_buffer(out), "\r\n\r\n", error);
    return out;
  }
  static void say(tcp::socket& to, const std::string& body, const std::string& more = "") {
    asio::write(to, asio::buffer("HTTP/1.1 200 OK\r\n" + more + "Content-Length: " +
                                 std::to_string(body.size()) + "\r\n\r\n" + body));
  }

 private:
  asio::io_context io_;
  tcp::acceptor acceptor_;
  std::thread thread_;
};

class HttpClientTest : public testing::Test {
 protected:
  Result<HttpResponse> ask(HttpClient& client, const std::string& method = "GET") {
    Result<HttpResponse> out = Error{"Unanswered", ""};
    client.request({method, "/", {}, {}}, 5s,
                   [&](Result<HttpResponse> result) { out = std::move(result); });
    io_.restart();
    io_.run_for(10s);
    return out;
  }
  std::string body(const Result<HttpResponse>& answer) {
    return answer ? answer->body : answer.error().code + " " + answer.error().message;
  }

  asio::io_context io_;
};

TEST_F(HttpClientTest, AsksOneAfterAnotherOnOneConnection) {
  RawServer server([](RawServer& it) {
    auto one = it.accept();
    for (const char* answer : {"a", "b", "c"}) {
      RawServer::hear(one);
      RawServer::say(one, answer);
    }
    RawServer::hear(one);
  });
  HttpClient client(io_, server.address());
  EXPECT_EQ(body(ask(client)), "a");
  EXPECT_EQ(body(ask(client, "PATCH")), "b");
  EXPECT_EQ(body(ask(client)), "c");
  EXPECT_EQ(client.connects(), 1U);
}

TEST_F(HttpClientTest, MakesAnotherConnectionForARequestAtTheSameTime) {
  RawServer server([](RawServer& it) {
    auto one = it.accept(), other = it.accept();
    RawServer::hear(other);
    RawServer::say(other, "x");
    RawServer::hear(one);
    RawServer::say(one, "x");
  });
  HttpClient client(io_, server.address());
  std::vector<std::string> heard;
  for (int i = 0; i < 2; ++i) {
    client.request({"GET", "/", {}, {}}, 5s,
                   [&](Result<HttpResponse> answer) { heard.push_back(body(answer)); });
  }
  io_.run_for(10s);
  EXPECT_THAT(heard, testing::ElementsAre("x", "x"));
  EXPECT_EQ(client.connects(), 2U);
}

TEST_F(HttpClientTest, NoticesThatTheServerHasClosedMeanwhile) {
  std::promise<void> closed;
  RawServer server([&](RawServer& it) {
    for (const char* answer : {"a", "b"}) {
      auto one = it.accept();
      RawServer::hear(one);
      RawServer::say(one, answer);
      one.close();
      if (*answer == 'a') closed.set_value();
    }
  });
  HttpClient client(io_, server.address());
  EXPECT_EQ(body(ask(client)), "a");
  closed.get_future().wait();
  EXPECT_EQ(body(ask(client, "PATCH")), "b");
  EXPECT_EQ(client.connects(), 2U);
}

TEST_F(HttpClientTest, RepeatsWhatMayBeRepeatedWhenAKeptConnectionEndsWithoutAnAnswer) {
  RawServer server([](RawServer& it) {
    auto one = it.accept();
    RawServer::hear(one);
    RawServer::say(one, "a");
    RawServer::hear(one);
    one.close();
    auto other = it.accept();
    RawServer::hear(other);
    RawServer::say(other, "b");
  });
  HttpClient client(io_, server.address());
  EXPECT_EQ(body(ask(client)), "a");
  EXPECT_EQ(body(ask(client, "PUT")), "b");
  EXPECT_EQ(client.connects(), 2U);
}

TEST_F(HttpClientTest, NeverRepeatsWhatMayHaveBeenDone) {
  RawServer server([](RawServer& it) {
    auto one = it.accept();
    RawServer::hear(one);
    RawServer::say(one, "a");
    RawServer::hear(one);
    one.close();
  });
  HttpClient client(io_, server.address());
  EXPECT_EQ(body(ask(client)), "a");
  const auto answer = ask(client, "PATCH");
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, "Protocol");
  EXPECT_EQ(client.connects(), 1U);
}

TEST_F(HttpClientTest, TakesNoAnswerThatIsLargerThanItsLimitHoweverItComes) {
  RawServer server([](RawServer& it) {
    for (int i = 0; i < 2; ++i) {
      auto one = it.accept();
      RawServer::hear(one);
      RawServer::say(one, std::string(i == 0 ? 1001 : 1000, 'x'));
    }
  });
  HttpClient client(io_, server.address(), HttpClient::Connections::kOneEach, 1000);
  const auto large = ask(client);
  ASSERT_FALSE(large.ok());
  EXPECT_EQ(large.error().code, "TooLarge");
  EXPECT_THAT(large.error().message, testing::HasSubstr("more than 1000 bytes"));
  EXPECT_EQ(body(ask(client)), std::string(1000, 'x'));
}

TEST_F(HttpClientTest, NeverRepeatsOnAFreshConnection) {
  RawServer server([](RawServer& it) { it.accept().close(); });
  HttpClient client(io_, server.address());
  EXPECT_FALSE(ask(client).ok());
  EXPECT_EQ(client.connects(), 1U);
}

TEST_F(HttpClientTest, LeavesAConnectionOnWhichMoreCameThanWasAskedFor) {
  std::promise<void> said;
  RawServer server([&](RawServer& it) {
    auto one = it.accept();
    RawServer::hear(one);
    RawServer::say(one, "a");
    RawServer::say(one, "nobody asked");
    said.set_value();
    auto other = it.accept();
    RawServer::hear(other);
    RawServer::say(other, "b");
  });
  HttpClient client(io_, server.address());
  EXPECT_EQ(body(ask(client)), "a");
  said.get_future().wait();
  EXPECT_EQ(body(ask(client)), "b");
}

TEST_F(HttpClientTest, LeavesAConnectionThatTheServerWantsToClose) {
  RawServer server([](RawServer& it) {
    for (const char* answer : {"a", "b"}) {
      auto one = it.accept();
      RawServer::hear(one);
      RawServer::say(one, answer, "Connection: close\r\n");
    }
  });
  HttpClient client(io_, server.address());
  EXPECT_EQ(body(ask(client)), "a");
  EXPECT_EQ(body(ask(client)), "b");
  EXPECT_EQ(client.connects(), 2U);
}

TEST_F(HttpClientTest, ClosesItsConnectionWhenItGoes) {
  std::promise<std::string> last;
  RawServer server([&](RawServer& it) {
    auto one = it.accept();
    RawServer::hear(one);
    RawServer::say(one, "a");
    last.set_value(RawServer::hear(one));
  });
  {
    HttpClient client(io_, server.address());
    EXPECT_EQ(body(ask(client)), "a");
  }
  EXPECT_EQ(last.get_future().get(), "");
}

TEST_F(HttpClientTest, OneQuestionKeepsNoConnection) {
  std::promise<std::string> head;
  RawServer server([&](RawServer& it) {
    auto one = it.accept();
    head.set_value(RawServer::hear(one));
    RawServer::say(one, "a");
  });
  EXPECT_EQ(body(net::ask(server.address(), {"GET", "/", {}, {}}, 5s)), "a");
  EXPECT_THAT(head.get_future().get(), testing::HasSubstr("Connection: close"));
}

TEST_F(HttpClientTest, AKeptConnectionThatAsksNothingIsNotLate) {
  auto server =
      HttpServer::start(io_,
                        {.listen = Endpoint{IpAddress::parse("127.0.0.1").value(), 0},
                         .body_limit = [](auto&, auto&) { return size_t{0}; },
                         .idle_timeout = 1ms},
                        [](const auto&, auto respond) { respond(text_response(200, "a")); });
  ASSERT_TRUE(server.ok());
  HttpClient client(io_, (*server)->local());
  std::string heard;
  client.request({"GET", "/", {}, {}}, 5s, [&](auto answer) { heard = body(answer); });
  while (heard.empty()) io_.run_one_for(5s);
  std::string again;
  for (int i = 0; i < 100 && client.connects() < 2; ++i) {
    asio::steady_timer pause(io_, 5ms);
    pause.async_wait([&](auto) {
      client.request({"GET", "/", {}, {}}, 5s, [&](auto answer) { again = body(answer); });
    });
    for (again.clear(); again.empty();) io_.run_one_for(5s);
  }
  EXPECT_EQ(client.connects(), 2U);
  EXPECT_EQ((*server)->counters().timeouts, 0U);
  (*server)->stop();
}

}  // namespace
}  // namespace lb::net
