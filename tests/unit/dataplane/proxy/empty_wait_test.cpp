// when_empty: wait. A connection for which no backend is usable waits until one is.
#include <sys/resource.h>

#include "common/model/support.hpp"
#include "tests/unit/dataplane/proxy/arrivals.hpp"

namespace lb::proxy {
namespace {

class EmptyWaitTest : public SecondChanceTest {
 protected:
  void SetUp() override {
    SecondChanceTest::SetUp();
    policy_.when_empty = WhenEmpty::kWait;
    policy_.empty_wait_ms = 60'000;
    policy_.drain_s = 0;
  }

  // A client that waits, after those that wait already.
  Fd wait() {
    const uint64_t before = counters().waits;
    Fd client = dial(port_);
    EXPECT_TRUE(eventually([&] { return counters().waits == before + 1; }));
    return client;
  }
  // A listening socket on a port that was closed until now.
  static Fd listen_on(uint16_t port) {
    Fd fd(socket(AF_INET, SOCK_STREAM, 0));
    const int on = 1;
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const timeval limit{5, 0};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const auto address = loopback(port);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    listen(fd.get(), 16);
    return fd;
  }
};

TEST_F(EmptyWaitTest, ABackendThatIsAddedIsDialledAtOnce) {
  Server server;
  serve({});
  const Fd client = wait();
  write_all(client.get(), "hello");
  EXPECT_EQ(flows().at(0).phase, FlowPhase::kWaiting);
  EXPECT_EQ(totals().waiting, 1U);
  serve({server.port});
  const Fd peer = server.accept_one();
  EXPECT_EQ(read_some(peer, 5), "hello");
  write_all(peer.get(), "world");
  EXPECT_EQ(read_some(client, 5), "world");
  EXPECT_EQ(totals().waiting, 0U);
  EXPECT_EQ(totals().waits, 1U);
  EXPECT_EQ(counters().no_backend, 0U);
}

TEST_F(EmptyWaitTest, IsResetWhenItsTimeIsOver) {
  policy_.empty_wait_ms = 50;
  serve({});
  const size_t before = open_descriptors();
  EXPECT_TRUE(is_reset(dial(port_)));
  EXPECT_EQ(counters().waits, 1U);
  EXPECT_EQ(counters().wait_timeouts, 1U);
  EXPECT_EQ(counters().no_backend, 1U);
  expect_nothing_left(before);
}

TEST_F(EmptyWaitTest, IsOffByDefaultAndForNoTimeAtAll) {
  policy_.empty_wait_ms = 0;
  serve({});
  EXPECT_TRUE(is_reset(dial(port_)));
  policy_ = Policy();
  serve({});
  EXPECT_TRUE(is_reset(dial(port_)));
  EXPECT_EQ(counters().waits, 0U);
  EXPECT_EQ(counters().no_backend, 2U);
}

TEST_F(EmptyWaitTest, WhoeverCameFirstIsServedFirst) {
  on_control([this] {
    path_ = make_data_path({.workers = 1, .post = [this](std::function<void()> task) {
                              asio::post(control_, std::move(task));
                            }});
  });
  Server server;
  serve({});
  std::vector<Fd> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(wait());
    write_all(clients.back().get(), std::to_string(10 + i));
  }
  serve({server.port});
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(read_some(server.accept_one(), 2), std::to_string(10 + i));
  }
}

TEST_F(EmptyWaitTest, EveryWorkerServesThoseThatWaitThere) {
  Server server;
  serve({});
  const size_t before = open_descriptors();
  {
    std::vector<Fd> clients;
    for (int i = 0; i < 40; ++i) clients.push_back(wait());
    serve({server.port});
    for (int i = 0; i < 40; ++i) EXPECT_TRUE(server.accept_one().valid()) << i;
  }
  expect_nothing_left(before);
}

TEST_F(EmptyWaitTest, ABackendThatIsNotReadyIsNobody) {
  Server server;
  DesiredState state{{1, 1}, {}};
  ServicePort port;
  port.port = port_;
  port.policy = policy_;
  Backend backend;
  backend.address = *IpAddress::parse("127.0.0.1");
  backend.port = server.port;
  backend.state = BackendState::kNotReady;
  port.backends = {backend};
  state.services.push_back({"file/web", {backend.address}, {port}, {}});
  apply(state);
  const Fd client = wait();
  state.version.generation = 2;
  state.services.edit(0).ports[0].backends[0].state = BackendState::kReady;
  apply(state);
  EXPECT_TRUE(server.accept_one().valid());
}

TEST_F(EmptyWaitTest, AnotherChangeLeavesItWaiting) {
  Server server;
  serve({});
  const Fd client = wait();
  serve({});
  EXPECT_EQ(flows().size(), 1U) << "drain_s is for connections with a backend that was removed";
  serve({server.port});
  EXPECT_TRUE(server.accept_one().valid());
}

TEST_F(EmptyWaitTest, AttemptsThatFailedAreNoEmptyListYet) {
  policy_.ejection.refused = 3;
  serve({free_port()});
  EXPECT_TRUE(is_reset(dial(port_)));
  EXPECT_EQ(counters().waits, 0U);
}

TEST_F(EmptyWaitTest, ABackendThatIsReadmittedIsDialledAtOnce) {
  const uint16_t dead = free_port();
  policy_.ejection = {.refused = 1, .timeouts = 1, .seconds = 1};
  serve({dead});
  const Fd client = wait();
  write_all(client.get(), "hello");
  const Fd back = listen_on(dead);
  for (int i = 0; i < 5; ++i) {
    // The first ones are the questions of our own whether it is back.
    const std::string text = read_some(Fd(accept(back.get(), nullptr, nullptr)), 5);
    if (!text.empty()) {
      EXPECT_EQ(text, "hello");
      break;
    }
  }
  EXPECT_EQ(counters().readmissions, 1U);
  EXPECT_EQ(totals().waiting, 0U);
}

TEST_F(EmptyWaitTest, ABackendThatAChecksCallsUpIsDialledAtOnce) {
  const uint16_t dead = free_port();
  policy_.ejection = {.refused = 0, .timeouts = 0, .seconds = 1};
  serve({dead});
  set_health(dead, Health::kDown);
  const Fd client = wait();
  write_all(client.get(), "hello");
  const Fd back = listen_on(dead);
  set_health(dead, Health::kUp);
  EXPECT_EQ(read_some(Fd(accept(back.get(), nullptr, nullptr)), 5), "hello");
}

TEST_F(EmptyWaitTest, AClientThatResetsWaitsNoLonger) {
  serve({});
  const size_t before = open_descriptors();
  Fd client = wait();
  write_all(client.get(), "hello");
  reset(client);
  EXPECT_TRUE(eventually([&] { return counters().clients_gone_while_waiting == 1; }));
  EXPECT_EQ(totals().clients_gone_while_waiting, 1U);
  expect_nothing_left(before);
}

TEST_F(EmptyWaitTest, AClientThatEndsWithoutAWordWaitsNoLonger) {
  serve({});
  Fd client = wait();
  client.reset();
  EXPECT_TRUE(eventually([&] { return counters().clients_gone_while_waiting == 1; }));
}

TEST_F(EmptyWaitTest, AClientThatAskedAndEndedIsStillAnswered) {
  Server server;
  serve({});
  const Fd client = wait();
  write_all(client.get(), "question");
  shutdown(client.get(), SHUT_WR);
  serve({server.port});
  Fd peer = server.accept_one();
  EXPECT_EQ(read_all(peer.get()), "question");
  write_all(peer.get(), "answer");
  peer.reset();
  EXPECT_EQ(read_all(client.get()), "answer");
}

TEST_F(EmptyWaitTest, WithoutHalfCloseAnyEndIsTheEnd) {
  policy_.half_close = false;
  serve({});
  const Fd client = wait();
  write_all(client.get(), "question");
  shutdown(client.get(), SHUT_WR);
  EXPECT_TRUE(eventually([&] { return counters().clients_gone_while_waiting == 1; }));
}

TEST_F(EmptyWaitTest, TooManyAreResetAtOnce) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_max < 6'000) GTEST_SKIP() << "too few descriptors: " << files.rlim_max;
  constexpr uint64_t kClients = 1'100;  // of 512 that each of two workers lets wait
  serve({});
  const size_t before = open_descriptors();
  {
    std::vector<Fd> clients;
    for (uint64_t i = 0; i < kClients; ++i) clients.push_back(dial(port_));
    EXPECT_TRUE(
        eventually([&] { return counters().waits + counters().wait_overflows == kClients; }));
    EXPECT_GE(counters().wait_overflows, kClients - 2 * 512);
    EXPECT_EQ(counters().no_backend, counters().wait_overflows);
    EXPECT_LE(totals().waiting, 2U * 512);
    Server server;
    serve({server.port});
    EXPECT_TRUE(eventually([&] { return totals().waiting == 0; }));
    serve({});
    const Fd one_more = wait();
    EXPECT_EQ(totals().waiting, 1U) << "there is room again";
  }
  expect_nothing_left(before);
}

TEST_F(EmptyWaitTest, ThoseOfOneServiceLeaveRoomForThoseOfAnother) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_max < 6'000) GTEST_SKIP() << "too few descriptors: " << files.rlim_max;
  ServicePort port;
  port.policy = policy_;
  port.port = port_;
  const uint16_t other = free_port();
  DesiredState both{{1, ++generation_}, {}};
  both.services.push_back({"file/many", {*IpAddress::parse("127.0.0.1")}, {port}, {}});
  port.port = other;
  both.services.push_back({"file/other", {*IpAddress::parse("127.0.0.1")}, {port}, {}});
  ASSERT_TRUE(apply(both).empty());
  constexpr uint64_t kClients = 2'100;  // enough to take all places of both workers
  std::vector<Fd> clients;
  for (uint64_t i = 0; i < kClients; ++i) clients.push_back(dial(port_));
  ASSERT_TRUE(eventually([&] { return counters().waits + counters().wait_overflows == kClients; }));
  const uint64_t overflows = counters().wait_overflows;
  for (int i = 0; i < 50; ++i) clients.push_back(dial(other));
  EXPECT_TRUE(eventually([&] { return counters().waits == kClients - overflows + 50; }));
  EXPECT_EQ(counters().wait_overflows, overflows);
}

TEST_F(EmptyWaitTest, MayBeKilledOnTheWay) {
  serve({});
  const Fd client = wait();
  EXPECT_TRUE(kill(flows().at(0).id));
  EXPECT_TRUE(is_reset(client));
  EXPECT_EQ(totals().waiting, 0U);
}

TEST_F(EmptyWaitTest, EndsWithItsListener) {
  serve({});
  const Fd client = wait();
  apply({{1, 99}, {}});
  EXPECT_TRUE(is_reset(client));
  EXPECT_TRUE(eventually([&] { return counters().active == 0; }));
}

TEST_F(EmptyWaitTest, EndsWithADrain) {
  serve({});
  const Fd client = wait();
  drain(50);
  EXPECT_TRUE(is_reset(client));
}

TEST_F(EmptyWaitTest, ARequestThatIsRepeatedMayWaitForItsBackend) {
  Server server;
  auto dying = std::make_unique<Server>();
  policy_.retry_before_first_byte = true;
  policy_.ejection = {.refused = 1, .timeouts = 1, .seconds = 60};
  const uint16_t dead = free_port();
  serve({dying->port});
  const Fd client = dial(port_);
  write_all(client.get(), "hello");
  Fd first = dying->accept_one();
  EXPECT_EQ(read_some(first, 5), "hello");
  serve({dying->port, dead});
  set_health(dying->port, Health::kDown);
  reset(first);
  EXPECT_TRUE(eventually([&] { return counters().waits == 1; })) << "both are out of use by now";
  serve({server.port});
  EXPECT_EQ(read_some(server.accept_one(), 5), "hello");
}

TEST(UdpPolicies, AreRefusedByName) {
  ServicePort port;
  port.protocol = Protocol::kUdp;
  const auto why = [&](auto set) {
    port.policy = Policy();
    set(port.policy);
    return unsupported(port).value_or("");
  };
  EXPECT_EQ(why([](Policy& p) { p.hedge_ms = 1; }), "policy.hedge_ms is not served for udp yet");
  EXPECT_EQ(why([](Policy& p) { p.retry_before_first_byte = true; }),
            "policy.retry_before_first_byte is not served for udp yet");
  EXPECT_EQ(why([](Policy& p) { p.when_empty = WhenEmpty::kWait; }),
            "policy.when_empty=wait is not served for udp yet");
}

}  // namespace
}  // namespace lb::proxy
