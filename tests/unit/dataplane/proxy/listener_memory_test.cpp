// Whichever allocation is refused while an engine is told of a listener: nothing has changed, and
// the same call may be made again. An end wants no memory.
#include "tests/support/client_hello.hpp"
#include "tests/unit/dataplane/proxy/engine_fixture.hpp"
#include "tests/unit/dataplane/proxy/refused_each.hpp"

namespace lb::proxy {
namespace {

class ListenerMemoryTest : public testing::Test {
 protected:
  using Sockets = std::vector<net::Fd>;

  static std::shared_ptr<ListenerConfig> config_of(const Sockets& sockets, uint16_t backend) {
    auto out = std::make_shared<ListenerConfig>();
    out->key = "file/web";
    out->address = *local_endpoint(sockets[0].get());
    out->records.push_back(
        std::make_shared<BackendRecord>(Endpoint{*IpAddress::parse("127.0.0.1"), backend}));
    out->candidates.emplace_back().weight = 1;
    return out;
  }
  static Sockets opened() {
    Sockets out;
    out.push_back(open_listener({*IpAddress::parse("127.0.0.1"), 0}, false).value());
    return out;
  }
  bool serves(Server& server, uint16_t port) {
    const Fd client = moved_up(proxy::dial(port));
    if (!client.valid()) return false;
    engine_.work();
    pollfd waiting{server.fd.get(), POLLIN, 0};
    return ::poll(&waiting, 1, 1'000) == 1 && server.accept_one().valid();
  }

  // At the door of `first`, for the name.
  static std::shared_ptr<ListenerConfig> beside(const ListenerConfig& first, const char* name,
                                                uint16_t backend) {
    auto out = std::make_shared<ListenerConfig>(first);
    out->key = std::string("file/") + name;
    out->match.names = {name};
    out->counts = std::make_shared<ListenerCounts>();
    out->lobby = std::make_shared<ListenerCounts>();
    out->records = {
        std::make_shared<BackendRecord>(Endpoint{*IpAddress::parse("127.0.0.1"), backend})};
    return out;
  }
  bool serves_name(Server& server, uint16_t port, const char* name) {
    const Fd client = moved_up(proxy::dial(port));
    engine_.work();
    write_all(client.get(), test::records(test::client_hello(name)));
    engine_.work();
    pollfd waiting{server.fd.get(), POLLIN, 0};
    return ::poll(&waiting, 1, 1'000) == 1 && server.accept_one().valid();
  }
  void put(std::shared_ptr<const ListenerConfig> config, Sockets sockets = {}) {
    engine_.engine.put_listener(sockets, std::move(config), Sharing::kOwnSocket, Begins::kNow);
  }

  Engine engine_;
  Server server_;
};

TEST_F(ListenerMemoryTest, AServiceJoinsADoorOnceThereIsMemoryForIt) {
  Sockets sockets = opened();
  const auto first = config_of(sockets, server_.port);
  put(first, std::move(sockets));
  Server other;
  EXPECT_GT(refused_each([&] { put(beside(*first, "a.test", other.port)); }), 3);
  EXPECT_TRUE(serves_name(other, first->address.port, "a.test"));
  EXPECT_TRUE(serves_name(server_, first->address.port, "b.test"));
}

TEST_F(ListenerMemoryTest, AServiceGetsAnotherNameOnceThereIsMemoryForThat) {
  Sockets sockets = opened();
  const auto first = config_of(sockets, server_.port);
  put(first, std::move(sockets));
  Server other;
  const auto before = beside(*first, "a.test", other.port);
  put(before);
  auto now = std::make_shared<ListenerConfig>(*before);
  now->match.names = {"c.test"};
  EXPECT_GT(refused_each([&] { put(now); }), 0);
  EXPECT_TRUE(serves_name(other, first->address.port, "c.test"));
  EXPECT_TRUE(serves_name(server_, first->address.port, "a.test"));
}

TEST_F(ListenerMemoryTest, OneTakesTheNameOfAnotherOnceThereIsMemoryForThat) {
  Sockets sockets = opened();
  const auto first = config_of(sockets, server_.port);
  put(first, std::move(sockets));
  Server former, next;
  put(beside(*first, "a.test", former.port));
  const auto config = beside(*first, "a.test", next.port);
  EXPECT_GT(refused_each([&] { put(config); }), 3);
  EXPECT_TRUE(serves_name(next, first->address.port, "a.test"));
}

TEST_F(ListenerMemoryTest, ServicesLeaveADoorAndItsLobbyWithoutMemory) {
  Sockets sockets = opened();
  const auto first = config_of(sockets, server_.port);
  put(first, std::move(sockets));
  Server other;
  put(beside(*first, "a.test", other.port));
  const Fd undecided = moved_up(proxy::dial(first->address.port));
  engine_.work();
  {
    const Match match{{"a.test"}, {}};
    const FailingNew failing(FailingNew::kEach);
    engine_.engine.remove_listener(first->address, match);
  }
  EXPECT_TRUE(serves(server_, first->address.port)) << "nothing has to be said any more";
}

// Two workers share one socket: the connection was taken by the other one.
TEST_F(ListenerMemoryTest, WhoIsAdoptedLateIsRoutedLikeThoseThatWereThere) {
  Sockets sockets = opened();
  auto first = config_of(sockets, server_.port);
  first->policy.delete_drain_s = 60;
  put(first, std::move(sockets));
  Server other;
  auto named = beside(*first, "a.test", other.port);
  put(named);
  const Fd undecided = moved_up(proxy::dial(first->address.port));
  engine_.work();
  engine_.engine.drain(60'000);
  const Server elsewhere;
  const Fd client = proxy::dial(elsewhere.port);
  Fd accepted(accept4(elsewhere.fd.get(), nullptr, nullptr, SOCK_NONBLOCK));
  engine_.engine.adopt(first->address, std::move(accepted));
  write_all(client.get(), test::records(test::client_hello("a.test")));
  engine_.work();
  pollfd waiting{other.fd.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&waiting, 1, 1'000), 1);
  engine_.engine.drain(0);
  pollfd ended{client.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&ended, 1, 1'000), 1) << "nobody looks after it where it went";
  EXPECT_TRUE(ended.revents & (POLLHUP | POLLERR));
}

TEST_F(ListenerMemoryTest, ANewListenerIsServedOnceThereIsMemoryForIt) {
  Sockets sockets = opened();
  const auto config = config_of(sockets, server_.port);
  const int64_t refused = refused_each(
      [&] { engine_.engine.put_listener(sockets, config, Sharing::kOwnSocket, Begins::kNow); });
  EXPECT_GT(refused, 3);
  EXPECT_LT(refused, 200);
  EXPECT_TRUE(sockets.empty());
  EXPECT_TRUE(serves(server_, config->address.port));
}

TEST_F(ListenerMemoryTest, TheSocketsAreTheCallersUntilTheListenerIsServed) {
  Sockets sockets = opened();
  const auto config = config_of(sockets, server_.port);
  const FailingNew failing(FailingNew::kEach);
  EXPECT_THROW(engine_.engine.put_listener(sockets, config, Sharing::kOwnSocket, Begins::kNow),
               std::bad_alloc);
  ASSERT_EQ(sockets.size(), 1u);
  EXPECT_TRUE(sockets[0].valid());
}

TEST_F(ListenerMemoryTest, AHeldListenerBeginsWhenItIsStartedThoughMemoryWasShort) {
  Sockets sockets = opened();
  const auto config = config_of(sockets, server_.port);
  EXPECT_GT(refused_each([&] {
              engine_.engine.put_listener(sockets, config, Sharing::kOwnSocket,
                                          Begins::kWhenStarted);
            }),
            3);
  const Fd client = moved_up(proxy::dial(config->address.port));
  engine_.work();
  EXPECT_EQ(engine_.engine.sessions(), 0u);
  {
    const FailingNew failing(FailingNew::kEach);
    engine_.engine.start_held();
  }
  engine_.work();
  EXPECT_EQ(engine_.engine.sessions(), 1u);
}

TEST_F(ListenerMemoryTest, OneThatIsServedGoesOnAsConfiguredLater) {
  Sockets sockets = opened();
  const auto first = config_of(sockets, server_.port);
  engine_.engine.put_listener(sockets, first, Sharing::kOwnSocket, Begins::kNow);
  Server other;
  auto second = std::make_shared<ListenerConfig>(*first);
  second->records[0] =
      std::make_shared<BackendRecord>(Endpoint{*IpAddress::parse("127.0.0.1"), other.port});
  second->policy.balance = Balance::kMaglev;
  const int64_t refused = refused_each([&] {
    engine_.engine.put_listener(sockets, second, Sharing::kOwnSocket, Begins::kNow);
    EXPECT_FALSE(FailingNew::has_failed());
  });
  EXPECT_GT(refused, 0);
  EXPECT_TRUE(serves(other, first->address.port));
}

TEST_F(ListenerMemoryTest, WithoutASocketOfItsOwnAWorkerThatDoesNotKnowItServesNothing) {
  Sockets sockets = opened(), none;
  const auto config = config_of(sockets, server_.port);
  engine_.engine.put_listener(none, config, Sharing::kOwnSocket, Begins::kNow);
  engine_.engine.adopt(config->address, moved_up(proxy::dial(server_.port)));
  EXPECT_EQ(engine_.engine.sessions(), 0u);
}

TEST_F(ListenerMemoryTest, ListenersEndWithoutMemory) {
  std::vector<Fd> clients;
  std::vector<Endpoint> places;
  for (int i = 0; i < 40; ++i) {
    Sockets sockets = opened();
    const auto config = config_of(sockets, server_.port);
    places.push_back(config->address);
    engine_.engine.put_listener(sockets, config, Sharing::kOwnSocket, Begins::kNow);
    clients.push_back(moved_up(proxy::dial(config->address.port)));
    engine_.work(0);
  }
  ASSERT_TRUE(engine_.works_until([&] { return engine_.engine.sessions() == clients.size(); }));
  {
    const FailingNew failing(FailingNew::kEach);
    for (size_t i = 0; i < 10; ++i) engine_.engine.remove_listener(places[i]);
    EXPECT_EQ(engine_.engine.sessions(), 30u);
    engine_.engine.drain(60'000);
    EXPECT_EQ(engine_.engine.sessions(), 30u);
    engine_.engine.drain(0);
  }
  EXPECT_EQ(engine_.engine.sessions(), 0u);
  for (const auto& client : clients) EXPECT_TRUE(is_reset(client));
  for (const auto& place : places) EXPECT_FALSE(proxy::dial(place.port).valid());
}

}  // namespace
}  // namespace lb::proxy
