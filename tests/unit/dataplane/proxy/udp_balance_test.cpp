// What UDP sessions are balanced by: slow starts, zones and the panic threshold.
#include "tests/unit/dataplane/proxy/udp_fixture.hpp"

namespace lb::proxy {
namespace {

class UdpBalanceTest : public UdpRelayTest {
 protected:
  // That many new clients speak; how many sessions the backend then has more than before.
  uint64_t sessions(const Endpoint& backend, size_t count) {
    const uint64_t before = record(backend)->connections;
    const uint64_t opened = counters().sessions_opened + count;
    for (size_t i = 0; i < count; ++i) clients_.emplace_back().send("x", address_);
    EXPECT_TRUE(reaches(counters().sessions_opened, opened));
    return record(backend)->connections - before;
  }
  // Serves these with their candidates as the test wants them.
  void serve_as(const std::vector<Endpoint>& backends,
                const std::function<void(ListenerConfig&)>& change) {
    serve(backends);
    auto changed = std::make_shared<ListenerConfig>(*config(backends));
    change(*changed);
    relay().update_listener(changed);
  }

  std::vector<UdpSocket> clients_;
};

TEST_F(UdpBalanceTest, ABackendThatComesBackGetsSessionsSlowly) {
  const UdpSocket old, back;
  policy_.slow_start_s = 10;
  serve({old.endpoint, back.endpoint});
  record(back.endpoint)->readmit(now_);
  EXPECT_NEAR(double(sessions(back.endpoint, 110)), 10, 1);
  pass_time(5'000);
  EXPECT_NEAR(double(sessions(back.endpoint, 155)), 55, 1);
  pass_time(5'000);
  EXPECT_NEAR(double(sessions(back.endpoint, 100)), 50, 1);
}

TEST_F(UdpBalanceTest, BackendsThatAreNearGoFirst) {
  const UdpSocket near, far;
  serve_as({near.endpoint, far.endpoint}, [](ListenerConfig& config) {
    config.candidates[0].near = true;
    config.options.prefer_near = true;
  });
  EXPECT_EQ(sessions(near.endpoint, 20), 20u);
  record(near.endpoint)->health = Health::kDown;
  EXPECT_EQ(sessions(far.endpoint, 20), 20u);
}

TEST_F(UdpBalanceTest, InAPanicAllAreUsed) {
  const UdpSocket sick, well;
  record(sick.endpoint)->health = Health::kDown;
  serve_as({sick.endpoint, well.endpoint},
           [](ListenerConfig& config) { config.options.panic_percent = 51; });
  EXPECT_EQ(sessions(sick.endpoint, 20), 10u);
}

TEST_F(UdpBalanceTest, ASocketThatCannotBeTunedIsUsedAndCounted) {
  const UdpSocket client, backend;
  serve_as({backend.endpoint},
           [](ListenerConfig& config) { config.tuning = {.congestion = "reno"}; });
  EXPECT_EQ(exchange(client, backend, "x"), "re: x");
  EXPECT_EQ(counters().untuned, 2u) << "the listener's and the session's: UDP has no such thing";
}

}  // namespace
}  // namespace lb::proxy
