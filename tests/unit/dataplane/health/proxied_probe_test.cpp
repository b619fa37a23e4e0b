// Probes of targets that expect a PROXY header first, as the connections of the service bring it.
#include "common/model/proxy_local.hpp"
#include "tests/support/fake_tls.hpp"
#include "tests/unit/dataplane/health/probe_fixture.hpp"

namespace lb::health {
namespace {

using test::Connection;
using test::FakeTarget;
using test::Serve;

// Takes as many bytes as the header has, then serves; whoever did not send it gets no answer.
Serve expect_header(ProxyProtocol version, const Serve& then, int& headers) {
  return [=, &headers](const Connection& connection) {
    const std::string wanted(proxy_local_header(version));
    const auto got = std::make_shared<std::string>(wanted.size(), '\0');
    asio::async_read(*connection, asio::buffer(*got), [=, &headers](const auto& error, size_t) {
      if (error || *got != wanted) return;
      ++headers;
      then(connection);
    });
  };
}

class ProxiedProbeTest : public ProbeTest, public testing::WithParamInterface<ProxyProtocol> {
 protected:
  ProbeResult ask(const HealthPolicy& policy, const Serve& then) {
    FakeTarget target(io_, expect_header(GetParam(), then, headers_));
    const ProbeResult out = probe(target.endpoint(), policy, GetParam());
    EXPECT_TRUE(run_until([&] { return headers_ == 1; }));
    return out;
  }

  int headers_ = 0;
};

TEST_P(ProxiedProbeTest, AConnectionAloneBringsTheHeader) {
  EXPECT_EQ(ask(policy_of(HealthType::kTcp), test::stay_silent()), ProbeResult{});
}

TEST_P(ProxiedProbeTest, ARequestComesAfterTheHeader) {
  const auto heard = std::make_shared<std::string>();
  EXPECT_EQ(ask(http_policy("/ok"), test::answer({"HTTP/1.1 200 OK\r\n\r\n"}, heard)),
            ProbeResult{});
  EXPECT_TRUE(heard->starts_with("GET /ok HTTP/1.1\r\n")) << *heard;
}

TEST_P(ProxiedProbeTest, ATargetThatSpeaksFirstHearsTheHeaderBefore) {
  EXPECT_EQ(ask(send_expect_policy("", "hello"), test::say({"hello"})), ProbeResult{});
}

TEST_P(ProxiedProbeTest, AHandshakeComesAfterTheHeader) {
  EXPECT_EQ(ask(policy_of(HealthType::kTls), test::speak_tls()), ProbeResult{});
}

INSTANTIATE_TEST_SUITE_P(BothVersions, ProxiedProbeTest,
                         testing::Values(ProxyProtocol::kV1, ProxyProtocol::kV2));

TEST(ProxyLocalHeader, IsWhatTheSpecificationSays) {
  EXPECT_EQ(proxy_local_header(ProxyProtocol::kV1), "PROXY UNKNOWN\r\n");
  EXPECT_EQ(proxy_local_header(ProxyProtocol::kV2),
            std::string("\x0d\x0a\x0d\x0a\x00\x0d\x0aQUIT\x0a\x20\x00\x00\x00", 16));
  EXPECT_TRUE(proxy_local_header(ProxyProtocol::kOff).empty());
}

}  // namespace
}  // namespace lb::health
