// Mutual TLS between our client and server: who is let in, who is not, and rotated certificates.
#include "common/net/tls.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <iterator>
#include <thread>

#include "common/net/http_client.hpp"
#include "common/net/http_server.hpp"
#include "common/net/tls_stream.hpp"
#include "tests/support/test_certificates.hpp"

namespace lb::net {
namespace {

using namespace std::chrono_literals;
using test::TestAuthority;
using testing::HasSubstr;
using testing::Not;

std::string content(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TlsText text_of(const TlsFiles& files) {
  return {content(files.certificate), content(files.key), content(files.authority)};
}

class TlsTest : public testing::Test {
 protected:
  TlsTest() {
    std::filesystem::create_directories(folder_);
    authority_ = std::make_unique<TestAuthority>(folder_);
  }
  ~TlsTest() override {
    asio::post(io_, [this] {
      if (server_) server_->stop();
      io_.stop();
    });
    work_.reset();
    if (thread_.joinable()) thread_.join();
    std::filesystem::remove_all(folder_);
  }

  void serve(const TlsFiles& files, const std::string& client_name = {}) {
    identity_ = TlsIdentity::load(files, TlsRole::kServer, client_name).value();
    HttpServerOptions options{.listen = Endpoint{IpAddress::parse("127.0.0.1").value(), 0},
                              .body_limit = {},
                              .tls = identity_};
    server_ = HttpServer::start(io_, std::move(options), [](const auto& request, auto respond) {
                respond(text_response(200, "you asked " + request.target));
              }).value();
    thread_ = std::thread([this] { io_.run(); });
  }

  Result<HttpResponse> ask_as(const TlsFiles& files, const std::string& server_name = {}) {
    return ask({server_->local(), TlsIdentity::load(files, TlsRole::kClient, server_name).value()},
               {"GET", "/who", {}, {}}, 5s);
  }

  // Asked on the server's own thread, which counts a little later than the client hears.
  HttpServerCounters counters() {
    std::promise<HttpServerCounters> out;
    asio::post(io_, [&] { out.set_value(server_->counters()); });
    return out.get_future().get();
  }
  bool tls_failures_reach(uint64_t count) {
    for (int i = 0; i < 5000 && counters().tls_failures < count; ++i) {
      std::this_thread::sleep_for(1ms);
    }
    return counters().tls_failures == count;
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("empalme-tls-" + std::to_string(getpid()));
  std::unique_ptr<TestAuthority> authority_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  std::shared_ptr<TlsIdentity> identity_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

TEST_F(TlsTest, TwoThatTheAuthoritySignedTalk) {
  serve(authority_->issue("server", "IP:127.0.0.1"));
  const auto answer = ask_as(authority_->issue("client", "DNS:client"));
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer->body, "you asked /who");
}

TEST_F(TlsTest, AServerMayBeKnownByItsName) {
  serve(authority_->issue("server", "DNS:dataplane.empalme"));
  const auto client = authority_->issue("client", "DNS:client");
  EXPECT_TRUE(ask_as(client, "dataplane.empalme").ok());
  EXPECT_EQ(ask_as(client, "other.empalme").error().code, "Tls");
}

TEST_F(TlsTest, AServerWithAnotherAddressInItsCertificateIsNotTrusted) {
  serve(authority_->issue("server", "IP:192.0.2.1"));
  EXPECT_EQ(ask_as(authority_->issue("client", "DNS:client")).error().code, "Tls");
}

TEST_F(TlsTest, AClientOfAnotherAuthorityIsNotLetIn) {
  serve(authority_->issue("server", "IP:127.0.0.1"));
  TestAuthority stranger(folder_, "stranger");
  TlsFiles files = stranger.issue("intruder", "DNS:client");
  files.authority = authority_->issue("client", "DNS:client").authority;
  EXPECT_FALSE(ask_as(files).ok());
  EXPECT_TRUE(tls_failures_reach(1));
  EXPECT_EQ(counters().requests, 0U);
}

TEST_F(TlsTest, AClientWithoutACertificateIsNotLetIn) {
  serve(authority_->issue("server", "IP:127.0.0.1"));
  EXPECT_FALSE(ask(server_->local(), {"GET", "/who", {}, {}}, 5s).ok());
  EXPECT_EQ(counters().requests, 0U);
}

// A server that asks nobody for a certificate answers the first request.
class TrustingServer {
 public:
  explicit TrustingServer(const TlsFiles& files)
      : acceptor_(io_, {asio::ip::make_address("127.0.0.1"), 0}) {
    context_.use_certificate_chain_file(files.certificate);
    context_.use_private_key_file(files.key, asio::ssl::context::pem);
    thread_ = std::thread([this] { serve(); });
  }
  ~TrustingServer() { thread_.join(); }

  SocketAddress local() const {
    return Endpoint{IpAddress::parse("127.0.0.1").value(), acceptor_.local_endpoint().port()};
  }

 private:
  void serve() {
    asio::ssl::stream<asio::ip::tcp::socket> stream(acceptor_.accept(), context_);
    boost::system::error_code error;
    stream.handshake(asio::ssl::stream_base::server, error);
    std::string heard;
    if (!error) asio::read_until(stream, asio::dynamic_buffer(heard), "\r\n\r\n", error);
    const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    if (!error) asio::write(stream, asio::buffer(answer), error);
  }

  asio::io_context io_;
  asio::ssl::context context_{asio::ssl::context::tls_server};
  asio::ip::tcp::acceptor acceptor_;
  std::thread thread_;
};

TEST_F(TlsTest, AClientMayDoWithoutACertificateWhereNobodyAsksForOne) {
  const auto files = authority_->issue("server", "IP:127.0.0.1");
  TrustingServer server(files);
  const auto nobody = TlsIdentity::load({{}, {}, files.authority}, TlsRole::kClient).value();
  const auto answer = ask({server.local(), nobody}, {"GET", "/", {}, {}}, 5s);
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer->body, "hi");
}

TEST_F(TlsTest, AClientWithoutACertificateTrustsNobodyElseForThat) {
  TestAuthority other(folder_, "other");
  TrustingServer server(other.issue("impostor", "IP:127.0.0.1"));
  const auto authority = authority_->issue("server", "IP:127.0.0.1").authority;
  const auto nobody = TlsIdentity::load({{}, {}, authority}, TlsRole::kClient).value();
  const auto answer = ask({server.local(), nobody}, {"GET", "/", {}, {}}, 5s);
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, "Tls");
}

TEST_F(TlsTest, AServerNeverDoesWithoutACertificate) {
  const auto authority = authority_->issue("server", "IP:127.0.0.1").authority;
  EXPECT_FALSE(TlsIdentity::load({{}, {}, authority}, TlsRole::kServer).ok());
}

TEST_F(TlsTest, AServerTakesOnlyTheClientThatItExpects) {
  serve(authority_->issue("server", "IP:127.0.0.1"), "controller.empalme");
  EXPECT_TRUE(ask_as(authority_->issue("client", "DNS:controller.empalme")).ok());
  EXPECT_FALSE(ask_as(authority_->issue("other", "DNS:dataplane.empalme")).ok());
  EXPECT_TRUE(tls_failures_reach(1));
  EXPECT_EQ(counters().requests, 1U);
}

TEST_F(TlsTest, ANameOutsideTheAlternativeNamesCountsForNothing) {
  serve(authority_->issue("server", "IP:127.0.0.1"), "controller.empalme");
  EXPECT_FALSE(ask_as(authority_->issue("controller.empalme", "DNS:x")).ok());
}

TEST_F(TlsTest, AWildcardIsNotTakenForTheClientThatIsExpected) {
  serve(authority_->issue("server", "IP:127.0.0.1"), "controller.empalme");
  EXPECT_FALSE(ask_as(authority_->issue("client", "DNS:*.empalme")).ok());
}

TEST_F(TlsTest, WhoeverIsNobodyYetConnectsToNobody) {
  serve(authority_->issue("server", "DNS:dataplane.empalme"));
  const auto nobody = TlsIdentity::unset(TlsRole::kClient, "dataplane.empalme");
  EXPECT_EQ(ask({server_->local(), nobody}, {"GET", "/", {}, {}}, 5s).error().code, "Tls");
}

TEST_F(TlsTest, AnIdentityFromTextServesTheNextConnection) {
  serve(authority_->issue("server", "DNS:dataplane.empalme"));
  const auto identity = TlsIdentity::unset(TlsRole::kClient, "dataplane.empalme");
  ASSERT_TRUE(identity->replace(text_of(authority_->issue("client", "DNS:client"))));
  EXPECT_TRUE(ask({server_->local(), identity}, {"GET", "/", {}, {}}, 5s).ok());
}

TEST_F(TlsTest, ATextThatIsWrongLeavesTheLastGoodOneAndIsCounted) {
  serve(authority_->issue("server", "DNS:dataplane.empalme"));
  const auto identity = TlsIdentity::unset(TlsRole::kClient, "dataplane.empalme");
  const TlsText good = text_of(authority_->issue("client", "DNS:client"));
  ASSERT_TRUE(identity->replace(good));
  TlsText bad = good;
  bad.key = text_of(authority_->issue("other", "DNS:other")).key;
  const auto refused = identity->replace(bad);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, Not(HasSubstr("BEGIN")));
  EXPECT_EQ(identity->reload_failures(), 1U);
  EXPECT_TRUE(ask({server_->local(), identity}, {"GET", "/", {}, {}}, 5s).ok());
}

TEST_F(TlsTest, TwoAuthoritiesAreTrustedWhileOneReplacesTheOther) {
  TestAuthority next(folder_, "next");
  serve(next.issue("server", "DNS:dataplane.empalme"));
  const auto identity = TlsIdentity::unset(TlsRole::kClient, "dataplane.empalme");
  TlsFiles files = authority_->issue("client", "DNS:client");
  std::ofstream(files.authority, std::ios::app) << text_of(next.issue("x", "DNS:x")).authority;
  ASSERT_TRUE(identity->replace(text_of(files)));
  // The server trusts only its own authority yet: the client has gone on past the server's.
  EXPECT_FALSE(ask({server_->local(), identity}, {"GET", "/", {}, {}}, 5s).ok());
  TlsText moved = text_of(next.issue("client", "DNS:client"));
  moved.authority = text_of(files).authority;
  ASSERT_TRUE(identity->replace(moved));
  EXPECT_TRUE(ask({server_->local(), identity}, {"GET", "/", {}, {}}, 5s).ok());
}

TEST_F(TlsTest, ARotatedCertificateServesTheNextConnection) {
  serve(authority_->issue("server", "DNS:before"));
  const auto client = authority_->issue("client", "DNS:client");
  ASSERT_TRUE(ask_as(client, "before").ok());
  authority_->issue("server", "DNS:after");
  bool rotated = false;
  // The files are looked at once a second.
  for (int i = 0; i < 200 && !rotated; ++i) {
    rotated = ask_as(client, "after").ok();
    if (!rotated) std::this_thread::sleep_for(20ms);
  }
  EXPECT_TRUE(rotated);
}

TEST_F(TlsTest, ABrokenFileLeavesTheLastGoodCertificate) {
  const TlsFiles files = authority_->issue("server", "IP:127.0.0.1");
  serve(files);
  std::ofstream(files.certificate, std::ios::trunc) << "not a certificate\n";
  const auto client = authority_->issue("client", "DNS:client");
  for (int i = 0; i < 200 && identity_->reload_failures() == 0; ++i) {
    ASSERT_TRUE(ask_as(client).ok());
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_EQ(identity_->reload_failures(), 1U);
  EXPECT_TRUE(ask_as(client).ok());
}

TEST_F(TlsTest, AFileThatIsMissingIsNamed) {
  TlsFiles files = authority_->issue("server", "IP:127.0.0.1");
  files.key = "/nowhere/key.pem";
  const auto loaded = TlsIdentity::load(files, TlsRole::kServer);
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.error().code, "Tls");
  EXPECT_THAT(loaded.error().message, HasSubstr("/nowhere/key.pem"));
}

TEST_F(TlsTest, AKeyOfAnotherCertificateIsRefused) {
  TlsFiles files = authority_->issue("server", "IP:127.0.0.1");
  files.key = authority_->issue("other", "DNS:other").key;
  const auto loaded = TlsIdentity::load(files, TlsRole::kServer);
  ASSERT_FALSE(loaded.ok());
  EXPECT_THAT(loaded.error().message, Not(HasSubstr("BEGIN")));
}

}  // namespace
}  // namespace lb::net
