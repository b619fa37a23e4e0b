// What a client and a backend see of the UDP relay while all is well, and how sessions end.
#include <set>

#include "tests/unit/dataplane/proxy/udp_fixture.hpp"

namespace lb::proxy {
namespace {

TEST_F(UdpRelayTest, CarriesAQuestionAndItsAnswer) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  EXPECT_EQ(exchange(client, backend, "hello"), "re: hello");
  EXPECT_EQ(counters().datagrams_in, 1u);
  EXPECT_EQ(counters().bytes_in, 5u);
  EXPECT_EQ(counters().datagrams_out, 1u);
  EXPECT_EQ(counters().bytes_out, 9u);
}

TEST_F(UdpRelayTest, AnswersComeFromTheListener) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  client.send("who", address_);
  backend.send("me", next(backend).from);
  EXPECT_EQ(next(client).from, address_);
}

TEST_F(UdpRelayTest, AClientMayReceiveManyAnswers) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  client.send("all", address_);
  const Endpoint from = next(backend).from;
  for (int i = 0; i < 300; ++i) backend.send(std::to_string(i), from);
  for (int i = 0; i < 300; ++i) ASSERT_EQ(text_at(client), std::to_string(i));
}

TEST_F(UdpRelayTest, ABackendMayReceiveManyDatagramsInTheirOrder) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  for (int i = 0; i < 300; ++i) client.send(std::to_string(i), address_);
  for (int i = 0; i < 300; ++i) ASSERT_EQ(text_at(backend), std::to_string(i));
  EXPECT_EQ(counters().sessions_opened, 1u);
}

TEST_F(UdpRelayTest, SharesClientsOutEvenly) {
  const std::vector<UdpSocket> clients(30);
  const std::vector<UdpSocket> backends(3);
  serve({backends[0].endpoint, backends[1].endpoint, backends[2].endpoint});
  for (const auto& client : clients) client.send("x", address_);
  ASSERT_TRUE(reaches(counters().datagrams_in, 30));
  for (const auto& backend : backends) {
    EXPECT_EQ(record(backend.endpoint)->connections, 10u);
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(backend.receive()) << i;
    EXPECT_FALSE(backend.receive());
  }
}

TEST_F(UdpRelayTest, SharesFollowTheWeights) {
  const std::vector<UdpSocket> clients(40);
  const UdpSocket heavy, light, none;
  auto unequal =
      std::make_shared<ListenerConfig>(*config({heavy.endpoint, light.endpoint, none.endpoint}));
  serve({heavy.endpoint});
  unequal->address = address_;
  unequal->candidates[0].weight = 3;
  unequal->candidates[2].weight = 0;
  relay().update_listener(unequal);
  for (const auto& client : clients) client.send("x", address_);
  ASSERT_TRUE(reaches(counters().sessions_opened, 40));
  EXPECT_EQ(record(heavy.endpoint)->connections, 30u);
  EXPECT_EQ(record(light.endpoint)->connections, 10u);
  EXPECT_EQ(record(none.endpoint)->connections, 0u);
}

TEST_F(UdpRelayTest, TakesUpAnotherWayOfBalancing) {
  const std::vector<UdpSocket> clients(21);
  const UdpSocket full, empty;
  serve({full.endpoint});
  clients[20].send("x", address_);
  ASSERT_TRUE(reaches(counters().sessions_opened, 1));
  record(full.endpoint)->connections += 9;
  policy_.balance = Balance::kLeastConnections;
  update({full.endpoint, empty.endpoint});
  for (int i = 0; i < 10; ++i) clients[size_t(i)].send("x", address_);
  ASSERT_TRUE(reaches(counters().sessions_opened, 11));
  EXPECT_EQ(record(empty.endpoint)->connections, 10u);
  policy_.balance = Balance::kRoundRobin;
  update({full.endpoint, empty.endpoint});
  for (int i = 10; i < 20; ++i) clients[size_t(i)].send("x", address_);
  ASSERT_TRUE(reaches(counters().sessions_opened, 21));
  EXPECT_EQ(record(empty.endpoint)->connections, 15u);
}

TEST_F(UdpRelayTest, SendsOneAddressToOneBackendByMaglev) {
  const std::vector<UdpSocket> clients(2);
  const std::vector<UdpSocket> backends(8);
  std::vector<Endpoint> where;
  for (const auto& backend : backends) where.push_back(backend.endpoint);
  auto hashed = std::make_shared<ListenerConfig>(*config(where));
  serve(where);
  hashed->address = address_;
  hashed->policy.balance = Balance::kMaglev;
  for (size_t i = 0; i < where.size(); ++i) {
    hashed->candidates[i].identity = balance::hash_of(where[i]);
  }
  relay().update_listener(hashed);
  for (const auto& client : clients) client.send("x", address_);
  ASSERT_TRUE(reaches(counters().sessions_opened, 2));
  size_t used = 0;
  for (const auto& each : where) used += record(each)->connections != 0;
  EXPECT_EQ(used, 1u);
}

TEST_F(UdpRelayTest, EachOfManyClientsKeepsItsBackendAndGetsItsOwnAnswers) {
  const std::vector<UdpSocket> clients(100);
  const std::vector<UdpSocket> backends(3);
  serve({backends[0].endpoint, backends[1].endpoint, backends[2].endpoint});
  for (int round = 0; round < 5; ++round) {
    for (size_t i = 0; i < clients.size(); ++i) clients[i].send(std::to_string(i), address_);
    ASSERT_TRUE(reaches(counters().datagrams_in, uint64_t(round + 1) * 100));
    for (const auto& backend : backends) {
      const std::string name = std::to_string(&backend - backends.data());
      while (const auto packet = backend.receive()) {
        backend.send(packet->text + " by " + name, packet->from);
      }
    }
    for (size_t i = 0; i < clients.size(); ++i) {
      ASSERT_EQ(text_at(clients[i]), std::to_string(i) + " by " + std::to_string(i % 3));
    }
  }
  EXPECT_EQ(counters().sessions_opened, 100u);
}

TEST_F(UdpRelayTest, PassesAnEmptyDatagramBothWays) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  client.send("", address_);
  const Packet asked = next(backend);
  EXPECT_EQ(asked.text, "");
  backend.send("", asked.from);
  EXPECT_EQ(next(client).from, address_);
  EXPECT_EQ(counters().datagrams_in, 1u);
  EXPECT_EQ(counters().datagrams_out, 1u);
}

TEST_F(UdpRelayTest, CountsLiveSessionsAsConnections) {
  const std::vector<UdpSocket> clients(4);
  const UdpSocket backend;
  serve({backend.endpoint});
  for (const auto& client : clients) client.send("x", address_);
  ASSERT_TRUE(reaches(counters().sessions_opened, 4));
  EXPECT_EQ(relay().sessions(), 4u);
  EXPECT_EQ(counts_->connections, 4u);
  EXPECT_EQ(record(backend.endpoint)->connections, 4u);
  relay().reset_everything();
  EXPECT_EQ(relay().sessions(), 0u);
  EXPECT_EQ(counts_->connections, 0u);
  EXPECT_EQ(record(backend.endpoint)->connections, 0u);
  EXPECT_EQ(counters().sessions_closed, 4u);
}

TEST_F(UdpRelayTest, EndsASessionThatHasBeenIdle) {
  const UdpSocket client, backend;
  policy_.udp_idle_s = 60;
  serve({backend.endpoint});
  exchange(client, backend, "x");
  pass_time(59'000);
  EXPECT_EQ(relay().sessions(), 1u);
  pass_time(1'020);
  EXPECT_EQ(relay().sessions(), 0u);
  EXPECT_EQ(counters().idle_timeouts, 1u);
}

TEST_F(UdpRelayTest, ADatagramOfTheClientKeepsASession) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  exchange(client, backend, "x");
  for (int minute = 0; minute < 5; ++minute) {
    pass_time(50'000);
    client.send("still here", address_);
    ASSERT_EQ(text_at(backend), "still here");
  }
  EXPECT_EQ(counters().sessions_opened, 1u);
}

TEST_F(UdpRelayTest, ADatagramOfTheBackendKeepsASession) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  client.send("x", address_);
  const Endpoint from = next(backend).from;
  for (int minute = 0; minute < 5; ++minute) {
    pass_time(50'000);
    backend.send("news", from);
    ASSERT_EQ(text_at(client), "news");
  }
  EXPECT_EQ(counters().idle_timeouts, 0u);
}

TEST_F(UdpRelayTest, SaysWhenToTickNext) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  EXPECT_EQ(relay().next_tick(), UINT64_MAX);
  exchange(client, backend, "x");
  for (int ticks = 0; relay().sessions() != 0 && ticks < 100; ++ticks) {
    ASSERT_GT(relay().next_tick(), now_);
    now_ = relay().next_tick();
    relay().tick();
  }
  EXPECT_EQ(now_, 1'060'000u);
}

TEST_F(UdpRelayTest, AShorterIdleTimeTakesEffectAtOnce) {
  const UdpSocket client, backend;
  policy_.udp_idle_s = 3600;
  serve({backend.endpoint});
  exchange(client, backend, "x");
  policy_.udp_idle_s = 5;
  update({backend.endpoint});
  pass_time(5'020);
  EXPECT_EQ(relay().sessions(), 0u);
}

TEST_F(UdpRelayTest, AClientThatComesBackGetsANewSession) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  exchange(client, backend, "x");
  pass_time(61'000);
  ASSERT_EQ(relay().sessions(), 0u);
  EXPECT_EQ(exchange(client, backend, "again"), "re: again");
  EXPECT_EQ(counters().sessions_opened, 2u);
}

TEST_F(UdpRelayTest, DropsWhatNobodyCanTake) {
  const UdpSocket client;
  serve({});
  client.send("x", address_);
  EXPECT_TRUE(reaches(counters().no_backend, 1));
  EXPECT_EQ(relay().sessions(), 0u);
}

TEST_F(UdpRelayTest, DropsWhatComesFromOutsideTheSourceRanges) {
  const UdpSocket stranger("127.0.0.2"), client("127.0.0.3"), backend;
  policy_.source_ranges = {Cidr::parse("192.0.2.0/24").value(), Cidr::parse("127.0.0.3").value()};
  serve({backend.endpoint});
  stranger.send("x", address_);
  stranger.send("x", address_);
  EXPECT_TRUE(reaches(counters().source_refused, 2));
  EXPECT_EQ(exchange(client, backend, "x"), "re: x");
}

TEST_F(UdpRelayTest, EndsSessionsThatTheSourceRangesNoLongerAdmit) {
  const UdpSocket stranger("127.0.0.2"), client("127.0.0.3"), backend;
  serve({backend.endpoint});
  exchange(stranger, backend, "x");
  exchange(client, backend, "x");
  policy_.source_ranges = {Cidr::parse("127.0.0.3").value()};
  update({backend.endpoint});
  EXPECT_EQ(relay().sessions(), 1u);
  EXPECT_EQ(exchange(client, backend, "y"), "re: y");
}

TEST_F(UdpRelayTest, RefusesTheClientBeyondTheLimitAndEvictsNobodyWhoWasAnswered) {
  const std::vector<UdpSocket> clients(4);
  const UdpSocket backend;
  hooks_.session_limit = 3;
  serve({backend.endpoint});
  for (int i = 0; i < 3; ++i) exchange(clients[size_t(i)], backend, "q");
  for (int round = 1; round <= 2; ++round) {
    for (const auto& client : clients) client.send("x", address_);
    EXPECT_TRUE(reaches(counters().session_limit, uint64_t(round)));
  }
  EXPECT_EQ(counters().datagrams_in, 9u);
  EXPECT_EQ(counters().sessions_closed, 0u);
}

TEST_F(UdpRelayTest, AnotherListenerOfTheSameRelayIsAnotherWorld) {
  const UdpSocket client, first, second;
  serve({first.endpoint});
  const Endpoint first_address = address_;
  serve({second.endpoint});
  client.send("one", first_address);
  client.send("two", address_);
  EXPECT_EQ(text_at(first), "one");
  const Packet asked = next(second);
  EXPECT_EQ(asked.text, "two");
  second.send("re: two", asked.from);
  const Packet answer = next(client);
  EXPECT_EQ(answer.from, address_);
  EXPECT_EQ(counters().sessions_opened, 2u);
}

TEST_F(UdpRelayTest, AnswersForTwoListenersInOneTurnGoOutByTheirOwn) {
  const std::vector<UdpSocket> clients(20);
  const UdpSocket first, second;
  serve({first.endpoint});
  const Endpoint first_address = address_;
  serve({second.endpoint});
  for (size_t i = 0; i < clients.size(); ++i) {
    clients[i].send("x", i % 2 == 0 ? first_address : address_);
  }
  ASSERT_TRUE(reaches(counters().datagrams_in, 20));
  for (size_t i = 0; i < clients.size(); ++i) {
    const UdpSocket& backend = i % 2 == 0 ? first : second;
    backend.send("y", next(backend).from);
  }
  for (size_t i = 0; i < clients.size(); ++i) {
    EXPECT_EQ(next(clients[i]).from, i % 2 == 0 ? first_address : address_) << i;
  }
}

TEST_F(UdpRelayTest, PollSaysWhetherThereWasAnything) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  EXPECT_FALSE(relay().poll());
  client.send("x", address_);
  pollfd waiting{relay().descriptor(), POLLIN, 0};
  ASSERT_EQ(::poll(&waiting, 1, 5000), 1) << "the set itself becomes readable";
  EXPECT_TRUE(relay().poll());
}

TEST_F(UdpRelayTest, ATurnIsOneBatchOfAListenerThatIsFlooded) {
  const UdpSocket client, backend;
  serve({backend.endpoint});
  hooks_.trains = false;
  for (int i = 0; i < 200; ++i) client.send("x", address_);
  ASSERT_TRUE(relay().poll());
  EXPECT_EQ(relay().received(), UdpBatch::kSlots) << "then others get their turn";
  EXPECT_TRUE(eventually([&] {
    relay().poll();
    return relay().received() == 200;
  })) << "and the rest comes up again";
}

}  // namespace
}  // namespace lb::proxy
