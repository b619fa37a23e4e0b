// Services that end TLS, with certificates made for the test, and clients that speak it.
#pragma once

#include <poll.h>

#include <ctime>

#include "dataplane/tls/certificate_book.hpp"
#include "tests/support/client_hello.hpp"
#include "tests/support/tls_client.hpp"
#include "tests/unit/dataplane/proxy/ended_fixture.hpp"

namespace lb::proxy {

class TlsTest : public EndedTest {
 protected:
  TlsTest() {
    tls_.mode = TlsMode::kTerminate;
    tls_.certificates = {"a"};
    remake({.workers = 2,
            .post = [this](auto task) { asio::post(control_, std::move(task)); },
            .certificates = book_,
            .on_close = [this](const FlowRecord& record) { note(record); },
            .log_each = 1});
  }

  // A fresh one for that name, signed by authority().
  static net::SignedKey certificate_for(const std::string& name) {
    return net::issue(authority(), name, net::CertificateUse::kServer, validity()).value();
  }
  static const net::SignedKey& authority() {
    static const net::SignedKey made = net::make_authority("tests", validity()).value();
    return made;
  }
  static net::Validity validity() {
    const int64_t now = std::time(nullptr);
    return {now - 60, now + 3600};
  }
  void put(const std::string& name, const net::SignedKey& text) {
    on_control([&] {
      const auto taken = book_->put(name, text, std::time(nullptr));
      EXPECT_TRUE(taken.ok()) << taken.error().message;
    });
  }

  // The state of one service that ends TLS as `tls_` says.
  DesiredState state() {
    DesiredState out{{1, ++generation_}, {}};
    ServicePort listener = port(Protocol::kTcp, {server_.port});
    listener.policy = policy_;
    listener.tls = tls_;
    out.services.push_back({"file/web", {*IpAddress::parse("127.0.0.1")}, {listener}, {}});
    normalise(out);
    return out;
  }
  std::vector<Failure> serve_tls() { return apply(state()); }

  // A client and the backend's end of its connection, once both can talk.
  struct Pair {
    Fd client;
    std::unique_ptr<test::TlsClient> tls;
    Fd backend;
  };
  Pair connect(const test::TlsClientOptions& options = {.server_name = "a.test"}) {
    Pair out;
    out.client = dial(port_);
    out.tls = std::make_unique<test::TlsClient>(out.client.get(), options);
    EXPECT_TRUE(out.tls->shake_hands()) << "alert " << out.tls->alert();
    out.backend = server_.accept_one();
    return out;
  }
  // Which of two listening sockets somebody has connected to: 0 or 1.
  static int wait_for_one_of(int one, int other) {
    pollfd both[] = {{one, POLLIN, 0}, {other, POLLIN, 0}};
    EXPECT_GT(poll(both, 2, 5000), 0);
    return (both[0].revents & POLLIN) != 0 ? 0 : 1;
  }
  static std::string read_some(const Fd& fd, size_t size) {
    std::string out(size, '\0');
    const ssize_t got = recv(fd.get(), out.data(), size, MSG_WAITALL);
    out.resize(got < 0 ? 0 : size_t(got));
    return out;
  }
  // A client that is refused: by which alert.
  int alert_for(const test::TlsClientOptions& options) {
    const Fd fd = dial(port_);
    test::TlsClient client(fd.get(), options);
    // With TLS 1.3 a client learns of a refusal of its certificate only when it reads.
    if (client.shake_hands()) client.read(1);
    return client.alert();
  }

  std::shared_ptr<tls::CertificateBook> book_ = std::make_shared<tls::CertificateBook>();
  TlsPolicy tls_;
  Server server_;
};

}  // namespace lb::proxy
