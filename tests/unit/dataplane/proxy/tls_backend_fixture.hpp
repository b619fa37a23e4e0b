// Services that end TLS and speak it again with backends, whose end of it the test drives.
#pragma once

#include "tests/support/tls_server.hpp"
#include "tests/unit/dataplane/proxy/tls_fixture.hpp"

namespace lb::proxy {

class TlsBackendTest : public TlsTest {
 protected:
  TlsBackendTest() {
    policy_.connect_timeout_ms = 20'000;  // a slow machine is no failure
    tls_.backend = BackendTls{"web.internal", {"ca"}, true};
    put("a", certificate_for("a.test"));
    put("ca", {authority().certificate, ""});
    DataPathOptions options{.workers = 2,
                            .post = [this](auto task) { asio::post(control_, std::move(task)); },
                            .certificates = book_,
                            .on_close = [this](const FlowRecord& record) { note(record); },
                            .log_each = 1};
    // Only looked at on_control().
    options.on_tls_failure = [this](const BackendId&, const std::string& why) {
      complaints_.push_back(why);
    };
    remake(std::move(options));
  }

  static test::TlsServerContext server(test::TlsServerOptions options) {
    if (options.identity.empty()) options.identity = certificate_for("web.internal");
    return test::make_server_context(options);
  }
  static test::TlsServerContext good_server() { return server({}); }

  // Several backends, each as good as the others.
  std::vector<Failure> serve_with(const std::vector<uint16_t>& ports) {
    DesiredState out = state();
    ServicePort& listener = out.services.edit(0).ports[0];
    Backend each = listener.backends[0];
    listener.backends.clear();
    for (const uint16_t port : ports) {
      each.port = port;
      listener.backends.push_back(each);
    }
    normalise(out);
    return apply(out);
  }

  // A client that has agreed on keys with us.
  struct Asker {
    Fd fd;
    std::unique_ptr<test::TlsClient> tls;
  };
  Asker ask(const std::string& question = "",
            const test::TlsClientOptions& options = {.server_name = "a.test"}) {
    Asker out;
    out.fd = dial(port_);
    out.tls = std::make_unique<test::TlsClient>(out.fd.get(), options);
    EXPECT_TRUE(out.tls->shake_hands()) << "alert " << out.tls->alert();
    if (!question.empty()) {
      EXPECT_TRUE(out.tls->write(question));
    }
    return out;
  }
  // A backend's end of a connection; `shake` false: nothing has been said yet.
  struct Answerer {
    Fd fd;
    std::unique_ptr<test::TlsServer> tls;
  };
  static Answerer answer(Server& at, const test::TlsServerContext& context, bool shake = true) {
    Answerer out;
    out.fd = at.accept_one();
    out.tls = std::make_unique<test::TlsServer>(out.fd.get(), context);
    if (shake) {
      EXPECT_TRUE(out.tls->shake_hands()) << "alert " << out.tls->alert();
    }
    return out;
  }
  // One of these, whichever is asked first.
  static Answerer answer(Server& one, Server& other, const test::TlsServerContext& context) {
    const int at = wait_for_one_of(one.fd.get(), other.fd.get());
    return answer(at == 0 ? one : other, context);
  }
  static void expect_talk(const Asker& client, const Answerer& backend) {
    ASSERT_TRUE(client.tls->write("question"));
    EXPECT_EQ(backend.tls->read(8), "question");
    ASSERT_TRUE(backend.tls->write("answer"));
    EXPECT_EQ(client.tls->read(6), "answer");
  }
  std::vector<std::string> complaints() {
    std::vector<std::string> out;
    on_control([&] { out = complaints_; });
    return out;
  }

  std::vector<std::string> complaints_;
};

}  // namespace lb::proxy
