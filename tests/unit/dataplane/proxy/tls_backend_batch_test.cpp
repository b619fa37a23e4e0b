// What one turn of the loop hears from two backends at once.
#include "tests/support/tls_stutterer.hpp"
#include "tests/unit/dataplane/proxy/engine_fixture.hpp"
#include "tests/unit/dataplane/proxy/tls_fixture.hpp"

namespace lb::proxy {
namespace {

class TlsBatchTest : public TlsTest {
 protected:
  // A backend's end, once it has heard the hello of a dial: it says nothing by itself.
  struct Greeted {
    Fd socket;
    std::unique_ptr<test::TlsStutterer> tls =
        std::make_unique<test::TlsStutterer>(certificate_for("web.internal"));
  };
  Greeted greeted(Server& server) {
    Greeted out;
    EXPECT_TRUE(engine_.works_until([&] { return has_input(server.fd); }));
    out.socket = server.accept_one();
    EXPECT_TRUE(engine_.works_until([&] { return has_input(out.socket); }));
    std::string hello(4096, '\0');
    const ssize_t got = recv(out.socket.get(), hello.data(), hello.size(), 0);
    hello.resize(size_t(std::max<ssize_t>(got, 0)));
    out.tls->hear(hello);
    EXPECT_FALSE(out.tls->shake_hands()) << "the client's part of it is to come";
    return out;
  }

  void serve_both() {
    Policy policy;
    policy.hedge_ms = 50;
    policy.connect_timeout_ms = 60'000;
    const auto ca =
        net::ServerCertificate::read({authority().certificate, ""}, std::time(nullptr)).value();
    engine_.backend_tls =
        tls::ClientTls::make(BackendTls{"web.internal", {"ca"}, false}, {{"ca", ca}}).value();
    engine_.serve({server_.port, other_.port}, policy);
  }

  Server other_;
  Engine engine_;
};

// In the order of their words, so the second dial is ahead; the first was no slower for that.
TEST_F(TlsBatchTest, ABackendThatAnswersInTheMomentInWhichAnotherWinsIsNotBlamed) {
  serve_both();
  const Fd client = engine_.dial();
  ASSERT_TRUE(engine_.works_until([&] { return has_input(server_.fd) || has_input(other_.fd); }));
  const bool in_order = has_input(server_.fd);
  const Greeted first = greeted(in_order ? server_ : other_);
  const Greeted second = greeted(in_order ? other_ : server_);
  write_all(second.socket.get(), second.tls->take_said());
  write_all(first.socket.get(), first.tls->take_said());
  engine_.work();
  ASSERT_EQ(engine_.count(&EngineCounters::hedges_won), 1u);
  EXPECT_EQ(engine_.count(&EngineCounters::backend_tls_handshakes), 1u);
  EXPECT_EQ(engine_.count(&EngineCounters::backend_tls_failures), 0u);
  EXPECT_EQ(engine_.count(&EngineCounters::ejections), 0u);
}

}  // namespace
}  // namespace lb::proxy
