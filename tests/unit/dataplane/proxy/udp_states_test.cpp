// What becomes of UDP sessions while their backend's state and health change, and who takes over.
#include "tests/unit/dataplane/proxy/udp_fixture.hpp"

namespace lb::proxy {
namespace {

class UdpStatesTest : public UdpRelayTest {
 protected:
  // The client has a session with `backend`; `other` becomes known afterwards.
  void begin(const UdpSocket& client, const UdpSocket& backend, const Endpoint& other) {
    serve({backend.endpoint});
    ASSERT_EQ(exchange(client, backend, "x"), "re: x");
    update({backend.endpoint, other});
  }
  // Its backend has closed its port; the client asks, and asks again once that is known.
  void ask_twice(const UdpSocket& client) {
    client.send("a", address_);
    ASSERT_TRUE(eventually([&] { return counters().refused == 1; }));
    client.send("b", address_);
  }
};

class UdpUnreadyTest : public UdpStatesTest, public testing::WithParamInterface<BackendState> {};
INSTANTIATE_TEST_SUITE_P(States, UdpUnreadyTest,
                         testing::Values(BackendState::kNotReady, BackendState::kDraining));

TEST_P(UdpUnreadyTest, ItsSessionsStayWithoutAClock) {
  const UdpSocket client, leaving, other;
  begin(client, leaving, other.endpoint);
  states_[leaving.endpoint] = GetParam();
  update({leaving.endpoint, other.endpoint});
  for (int i = 0; i < 10; ++i) {
    pass_time(50'000);
    ASSERT_EQ(exchange(client, leaving, "y"), "re: y") << i;
  }
  EXPECT_EQ(counters().moved, 0u);
  EXPECT_EQ(counters().sessions_opened, 1u);
}

TEST_P(UdpUnreadyTest, NewClientsGoElsewhere) {
  const std::vector<UdpSocket> clients(6);
  const UdpSocket leaving, other;
  states_[leaving.endpoint] = GetParam();
  serve({leaving.endpoint, other.endpoint});
  for (const auto& client : clients) EXPECT_EQ(exchange(client, other, "x"), "re: x");
  EXPECT_EQ(record(leaving.endpoint)->connections, 0u);
}

TEST_P(UdpUnreadyTest, ItsSessionsMoveOnceItIsGone) {
  const UdpSocket client, leaving, other;
  begin(client, leaving, other.endpoint);
  states_[leaving.endpoint] = GetParam();
  update({leaving.endpoint, other.endpoint});
  EXPECT_EQ(counters().moved, 0u);
  update({other.endpoint});
  EXPECT_EQ(counters().moved, 1u);
  EXPECT_EQ(exchange(client, other, "y"), "re: y");
}

TEST_F(UdpStatesTest, AWeightOfZeroKeepsSessionsToo) {
  const UdpSocket client, backend, other;
  begin(client, backend, other.endpoint);
  auto weightless = std::make_shared<ListenerConfig>(*config({backend.endpoint, other.endpoint}));
  weightless->candidates[0].weight = 0;
  relay().update_listener(weightless);
  EXPECT_EQ(exchange(client, backend, "y"), "re: y");
  EXPECT_EQ(counters().moved, 0u);
}

TEST_F(UdpStatesTest, ARefusedSessionStaysRatherThanGoToOneThatIsCalledDown) {
  const UdpSocket client, sick;
  auto backend = std::make_unique<UdpSocket>("127.0.0.9");
  const Endpoint where = backend->endpoint;
  begin(client, *backend, sick.endpoint);
  record(sick.endpoint)->health = Health::kDown;
  backend.reset();
  ask_twice(client);
  EXPECT_TRUE(reaches(counters().lost_refused, 2));
  EXPECT_EQ(counters().moved, 0u);
  const UdpSocket back(where);
  EXPECT_EQ(exchange(client, back, "y"), "re: y");
}

TEST_F(UdpStatesTest, ARefusedSessionStaysWhereAllAreCalledDown) {
  const UdpSocket client, other;
  auto backend = std::make_unique<UdpSocket>("127.0.0.9");
  begin(client, *backend, other.endpoint);
  record(backend->endpoint)->health = Health::kDown;
  record(other.endpoint)->health = Health::kDown;
  backend.reset();
  ask_twice(client);
  EXPECT_TRUE(reaches(counters().lost_refused, 2));
  EXPECT_EQ(counters().moved, 0u);
}

TEST_F(UdpStatesTest, ARefusedSessionStaysRatherThanGoToOneThatIsEjected) {
  const UdpSocket client, ejected;
  auto backend = std::make_unique<UdpSocket>("127.0.0.9");
  policy_.ejection.refused = 0;
  begin(client, *backend, ejected.endpoint);
  record(ejected.endpoint)->health = Health::kDown;
  record(ejected.endpoint)->ejected = Ejection::kRefused;
  backend.reset();
  ask_twice(client);
  EXPECT_TRUE(reaches(counters().lost_refused, 2));
  EXPECT_EQ(counters().moved, 0u);
}

TEST_F(UdpStatesTest, ARefusedSessionGoesOnToOneThatDrains) {
  const UdpSocket client, draining;
  auto backend = std::make_unique<UdpSocket>("127.0.0.9");
  states_[draining.endpoint] = BackendState::kDraining;
  begin(client, *backend, draining.endpoint);
  backend.reset();
  EXPECT_EQ(exchange(client, draining, "y"), "re: y");
}

TEST_F(UdpStatesTest, ARefusedSessionNeverGoesToOneThatIsNotReady) {
  const UdpSocket client, unready;
  auto backend = std::make_unique<UdpSocket>("127.0.0.9");
  states_[unready.endpoint] = BackendState::kNotReady;
  begin(client, *backend, unready.endpoint);
  backend.reset();
  ask_twice(client);
  EXPECT_TRUE(reaches(counters().lost_refused, 2));
  EXPECT_EQ(counters().moved, 0u);
}

TEST_F(UdpStatesTest, WhenItsBackendLeavesOneThatIsCalledDownIsNoRefuge) {
  const UdpSocket client, leaving, sick;
  begin(client, leaving, sick.endpoint);
  record(sick.endpoint)->health = Health::kDown;
  update({sick.endpoint});
  EXPECT_EQ(counters().moved, 0u);
  record(sick.endpoint)->health = Health::kUp;
  EXPECT_EQ(exchange(client, sick, "y"), "re: y") << "a session of its own, once it is well";
  EXPECT_EQ(counters().sessions_opened, 2u);
}

}  // namespace
}  // namespace lb::proxy
