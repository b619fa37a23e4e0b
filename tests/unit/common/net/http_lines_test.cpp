// An answer without an end, as servers send it: whole, in pieces, and wrong.
#include "common/net/http_lines.hpp"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>

#include "common/net/http_server.hpp"
#include "tests/support/test_certificates.hpp"

namespace lb::net {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Tcp = asio::ip::tcp;

constexpr char kChunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr char kUntilClosed[] = "HTTP/1.1 200 OK\r\n\r\n";

std::string chunk(const std::string& text) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", text.size());
  return size + text + "\r\n";
}

// A server that takes one connection, and sends what the test says when the test says so.
class HttpLinesTest : public testing::Test {
 protected:
  HttpLinesTest() {
    acceptor_.open(Tcp::v4());
    acceptor_.bind({asio::ip::make_address("127.0.0.1"), 0});
    acceptor_.listen();
  }
  SocketAddress address() const {
    return Endpoint{IpAddress::parse("127.0.0.1").value(), acceptor_.local_endpoint().port()};
  }
  void follow(std::chrono::milliseconds patience = 2s) {
    HttpLines::Handlers handlers;
    handlers.opened = [this] { ++opened_; };
    handlers.line = [this](std::string_view line) {
      got_.emplace_back(line);
      if (on_line_) on_line_();
    };
    handlers.ended = [this](Error error) { ended_.push_back(std::move(error)); };
    lines_ = std::make_unique<HttpLines>(io_, address(), HttpRequest{.target = "/events?a=b"},
                                         patience, std::move(handlers));
  }
  void accept() {
    bool accepted = false;
    acceptor_.async_accept(peer_, [&](const auto& error) { accepted = !error; });
    ASSERT_TRUE(until([&] { return accepted; }));
    asio::async_read_until(peer_, asio::dynamic_buffer(request_), "\r\n\r\n",
                           [](const auto&, size_t) {});
    ASSERT_TRUE(until([&] { return request_.ends_with("\r\n\r\n"); }));
  }
  void connected(const std::string& first) {
    follow();
    accept();
    send(first);
  }
  void send(const std::string& text) { asio::write(peer_, asio::buffer(text)); }
  bool until(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > end) return false;
      io_.restart();
      io_.run_for(1ms);
    }
    return true;
  }
  std::string code() {
    if (!until([&] { return !ended_.empty(); })) return "did not end";
    return ended_.size() == 1 ? ended_[0].code : "ended twice";
  }

  asio::io_context io_{1};
  Tcp::acceptor acceptor_{io_};
  Tcp::socket peer_{io_};
  std::string request_;
  std::unique_ptr<HttpLines> lines_;
  std::vector<std::string> got_;
  std::vector<Error> ended_;
  std::function<void()> on_line_;
  int opened_ = 0;
};

TEST_F(HttpLinesTest, AsksAsItWasTold) {
  connected(kChunked);
  EXPECT_THAT(request_, testing::StartsWith("GET /events?a=b HTTP/1.1\r\n"));
  ASSERT_TRUE(until([&] { return opened_ == 1; }));
  EXPECT_THAT(ended_, IsEmpty());
}

TEST_F(HttpLinesTest, TellsOfEachLineAsItComes) {
  connected(kChunked + chunk("{\"a\":1}\n"));
  ASSERT_TRUE(until([&] { return got_.size() == 1; }));
  send(chunk("{\"b\":2}\n{\"c\":3}\n"));
  ASSERT_TRUE(until([&] { return got_.size() == 3; }));
  EXPECT_THAT(got_, ElementsAre("{\"a\":1}", "{\"b\":2}", "{\"c\":3}"));
}

TEST_F(HttpLinesTest, JoinsLinesThatComeByteByByte) {
  connected(kChunked);
  for (const char c : std::string("one\r\n\ntwo\n")) send(chunk(std::string(1, c)));
  ASSERT_TRUE(until([&] { return got_.size() == 2; }));
  EXPECT_THAT(got_, ElementsAre("one", "two")) << "without their ends; empty ones are none";
}

TEST_F(HttpLinesTest, ReadsABodyThatEndsWithTheConnection) {
  connected(std::string(kUntilClosed) + "one\ntwo\n");
  ASSERT_TRUE(until([&] { return got_.size() == 2; }));
  peer_.close();
  EXPECT_EQ(code(), "Ended");
}

TEST_F(HttpLinesTest, SaysThatAnAnswerHasEnded) {
  connected(kChunked + chunk("one\n") + "0\r\n\r\n");
  EXPECT_EQ(code(), "Ended");
  EXPECT_THAT(got_, ElementsAre("one"));
}

TEST_F(HttpLinesTest, NeverTellsOfHalfALine) {
  connected(kChunked + chunk("one\n{\"half") + "0\r\n\r\n");
  EXPECT_EQ(code(), "Protocol");
  EXPECT_THAT(got_, ElementsAre("one"));
}

TEST_F(HttpLinesTest, TellsOfWhatCameBeforeTheConnectionBroke) {
  connected(kChunked + chunk("one\n") + "10\r\ntwo\nthr");
  ASSERT_TRUE(until([&] { return got_.size() == 2; }));
  peer_.close();
  EXPECT_EQ(code(), "Protocol");
  EXPECT_THAT(got_, ElementsAre("one", "two"));
}

TEST_F(HttpLinesTest, SaysThatNobodyIsThere) {
  acceptor_.close();
  asio::ip::tcp::acceptor taken(io_, {asio::ip::make_address("127.0.0.1"), 0});
  const uint16_t port = taken.local_endpoint().port();
  taken.close();
  lines_ = std::make_unique<HttpLines>(
      io_, SocketAddress{Endpoint{IpAddress::parse("127.0.0.1").value(), port}}, HttpRequest{}, 2s,
      HttpLines::Handlers{[] {}, [](auto) {}, [this](Error e) { ended_.push_back(e); }});
  EXPECT_EQ(code(), "Connect");
}

TEST_F(HttpLinesTest, WaitsForTheHeaderOnlySoLong) {
  follow(50ms);
  accept();
  EXPECT_EQ(code(), "Timeout");
  EXPECT_EQ(opened_, 0);
}

TEST_F(HttpLinesTest, WaitsForLinesForEver) {
  follow(50ms);
  accept();
  send(kChunked);
  ASSERT_TRUE(until([&] { return opened_ == 1; }));
  io_.restart();
  io_.run_for(200ms);
  EXPECT_THAT(ended_, IsEmpty());
  send(chunk("late\n"));
  EXPECT_TRUE(until([&] { return got_.size() == 1; }));
}

TEST_F(HttpLinesTest, OpensOnlyWithA200) {
  connected("HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno");
  EXPECT_EQ(code(), "Status");
  EXPECT_THAT(ended_[0].message, HasSubstr("503"));
  EXPECT_EQ(opened_, 0);
}

TEST_F(HttpLinesTest, RefusesWhatIsNoHttp) {
  connected("SSH-2.0-OpenSSH_9.2\r\n\r\n");
  EXPECT_EQ(code(), "Protocol");
}

TEST_F(HttpLinesTest, RefusesAHeaderWithoutEnd) {
  connected("HTTP/1.1 200 OK\r\nX: " + std::string(20'000, 'x'));
  EXPECT_EQ(code(), "Protocol");
}

TEST_F(HttpLinesTest, RefusesALineWithoutEnd) {
  connected(kChunked);
  bool broken = false;
  const std::string part = chunk(std::string(64 * 1024, 'x'));
  std::function<void()> flood = [&] {
    asio::async_write(peer_, asio::buffer(part), [&](const auto& error, size_t) {
      if (error) {
        broken = true;
      } else {
        flood();
      }
    });
  };
  flood();
  EXPECT_EQ(code(), "TooLarge");
  EXPECT_THAT(got_, IsEmpty());
  EXPECT_TRUE(until([&] { return broken; })) << "and listens no longer";
}

TEST_F(HttpLinesTest, MayBeDestroyedByALine) {
  on_line_ = [this] { lines_.reset(); };
  connected(kChunked + chunk("one\ntwo\n"));
  ASSERT_TRUE(until([&] { return got_.size() == 1; }));
  io_.restart();
  io_.run_for(50ms);
  EXPECT_THAT(got_, ElementsAre("one"));
  EXPECT_THAT(ended_, IsEmpty());
}

TEST_F(HttpLinesTest, CallsNobodyOnceItIsDestroyed) {
  follow();
  lines_.reset();
  io_.restart();
  io_.run_for(50ms);
  EXPECT_EQ(opened_, 0);
  EXPECT_THAT(ended_, IsEmpty());
}

// A server of ours with a certificate, whose answer is lines and ends.
class HttpLinesOverTls : public testing::Test {
 protected:
  HttpLinesOverTls() {
    folder_ = std::filesystem::temp_directory_path() /
              ("http_lines_" + std::to_string(::getpid()) + "_" + std::to_string(++made_));
    std::filesystem::create_directories(folder_);
    authority_ = std::make_unique<test::TestAuthority>(folder_);
    const auto identity = load(*authority_, "server", TlsRole::kServer);
    server_ = HttpServer::start(
                  io_,
                  {.listen = Endpoint{IpAddress::parse("127.0.0.1").value(), 0},
                   .body_limit = {},
                   .tls = identity},
                  [](const auto&, auto respond) { respond(text_response(200, "one\ntwo\n")); })
                  .value();
  }
  ~HttpLinesOverTls() override { std::filesystem::remove_all(folder_); }

  static std::shared_ptr<TlsIdentity> load(test::TestAuthority& authority, const std::string& name,
                                           TlsRole role) {
    return TlsIdentity::load(authority.issue(name, "IP:127.0.0.1"), role).value();
  }
  std::string follow(std::shared_ptr<TlsIdentity> identity) {
    std::string code;
    HttpLines lines(
        io_, {server_->local(), std::move(identity)}, {}, 5s,
        {[] {}, [this](auto line) { got_.emplace_back(line); }, [&](Error e) { code = e.code; }});
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (code.empty() && std::chrono::steady_clock::now() < end) io_.run_one_for(5ms);
    return code;
  }

  inline static int made_ = 0;
  asio::io_context io_{1};
  std::filesystem::path folder_;
  std::unique_ptr<test::TestAuthority> authority_;
  std::unique_ptr<HttpServer> server_;
  std::vector<std::string> got_;
};

TEST_F(HttpLinesOverTls, ReadsWhatAServerSaysThatTheAuthoritySigned) {
  EXPECT_EQ(follow(load(*authority_, "client", TlsRole::kClient)), "Ended");
  EXPECT_THAT(got_, ElementsAre("one", "two"));
}

TEST_F(HttpLinesOverTls, ReadsNothingOfAServerOfAnotherAuthority) {
  test::TestAuthority other(folder_, "other");
  EXPECT_EQ(follow(load(other, "stranger", TlsRole::kClient)), "Tls");
  EXPECT_THAT(got_, IsEmpty());
}

TEST_F(HttpLinesOverTls, ShowsNothingWhileThereIsNothingToShow) {
  EXPECT_EQ(follow(TlsIdentity::unset(TlsRole::kClient, "")), "Tls");
}

}  // namespace
}  // namespace lb::net
