// Listening sockets that go from one byte path to another, as between two processes: both have
// descriptors of the same sockets, and one at a time accepts.
#include "dataplane/proxy/socket_handover.hpp"

#include <fcntl.h>

#include <memory>
#include <set>

#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"
#include "tests/unit/dataplane/proxy/data_path_fixture.hpp"

namespace lb::proxy {
namespace {

class SocketHandoverTest : public DataPathTest {
 protected:
  std::unique_ptr<DataPath> make(unsigned workers, unsigned max_groups = 256) {
    return make_data_path({.workers = workers, .max_groups = max_groups, .post = [this](auto task) {
                             asio::post(control_, std::move(task));
                           }});
  }
  // The path under test is the coming one from here on; the other stays, to be released.
  void begin_swap(unsigned workers, unsigned max_groups = 256) {
    on_control([&] {
      leaving_ = std::move(path_);
      path_ = make(workers, max_groups);
      path_->handover()->take(copies(workers));
    });
  }
  // Dealt out in turn, as a plan would.
  TakenListeners copies(unsigned workers) {
    TakenListeners out;
    unsigned next = 0;
    for (const auto& socket : leaving_->handover()->sockets()) {
      TakenListener& taken = out[socket.listener];
      taken.shared = socket.shared;
      taken.owned.resize(workers);
      taken.owned[next++ % workers].emplace_back(fcntl(socket.fd, F_DUPFD_CLOEXEC, 0));
    }
    for (auto& [id, taken] : out) {
      for (unsigned i = 0; i < workers; ++i) {
        if (taken.owned[i].empty() && !taken.shared) taken.may_open.push_back(i);
      }
    }
    return out;
  }
  void release() {
    std::promise<void> done;
    on_control([&] { leaving_->handover()->release_sockets([&] { done.set_value(); }); });
    done.get_future().wait();
  }
  size_t start() {
    size_t missing = 0;
    on_control([&] { missing = path_->handover()->start_taken(); });
    return missing;
  }
  std::vector<ListenerSocket> sockets() {
    std::vector<ListenerSocket> out;
    on_control([&] { out = path_->handover()->sockets(); });
    return out;
  }
  uint64_t accepted(DataPath& path) {
    uint64_t out = 0;
    on_control([&] { out = path.counters().accepted; });
    return out;
  }
  // Connects, says a word to whatever backend answers and hears it back.
  Fd talk(Server& server) {
    Fd client = dial(port_);
    Fd backend = server.accept_one();
    write_all(client.get(), "x");
    char byte = 0;
    EXPECT_EQ(recv(backend.get(), &byte, 1, 0), 1);
    backends_.push_back(std::move(backend));
    return client;
  }
  void TearDown() override {
    on_control([this] { leaving_.reset(); });
    DataPathTest::TearDown();
  }

  std::unique_ptr<DataPath> leaving_;
  std::vector<Fd> backends_;
};

TEST_F(SocketHandoverTest, NamesTheWorkerOfEverySocket) {
  Server server;
  ASSERT_TRUE(serve({server.port}).empty());
  const auto found = sockets();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].worker, 0u);
  EXPECT_EQ(found[1].worker, 1u);
  EXPECT_FALSE(found[0].shared);
  EXPECT_EQ(port_of(found[0].fd), port_);
}

TEST_F(SocketHandoverTest, NamesTheOnlySocketOfAListener) {
  on_control([&] { path_ = make(2, 0); });
  Server server;
  ASSERT_TRUE(serve({server.port}).empty());
  const auto found = sockets();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(found[0].shared);
  EXPECT_LT(found[0].worker, 2u);
}

TEST_F(SocketHandoverTest, TheOneThatComesAcceptsNothingBeforeItIsStarted) {
  Server server;
  ASSERT_TRUE(serve({server.port}).empty());
  begin_swap(2);
  ASSERT_TRUE(serve({server.port}).empty());
  for (int i = 0; i < 20; ++i) talk(server);
  EXPECT_EQ(accepted(*path_), 0u);
  EXPECT_EQ(accepted(*leaving_), 20u);
}

TEST_F(SocketHandoverTest, WhatWasQueuedWhenOneLeftIsServedByTheOther) {
  Server server;
  ASSERT_TRUE(serve({server.port}).empty());
  begin_swap(2);
  ASSERT_TRUE(serve({server.port}).empty());
  release();
  std::vector<Fd> waiting;
  for (int i = 0; i < 20; ++i) waiting.push_back(dial(port_));
  EXPECT_EQ(accepted(*leaving_), 0u);
  EXPECT_EQ(start(), 0u);
  EXPECT_TRUE(eventually([&] { return accepted(*path_) == 20; }));
  for (const auto& client : waiting) write_all(client.get(), "x");
  for (size_t i = 0; i < waiting.size(); ++i) {
    char byte = 0;
    EXPECT_EQ(recv(server.accept_one().get(), &byte, 1, 0), 1);
  }
}

// A closed descriptor stays in an epoll set while another process has the socket (epoll(7), Q6),
// and would wake its engine without an end.
class EngineHandoverTest : public testing::Test {
 protected:
  EngineHandoverTest() {
    auto made = std::make_shared<ListenerConfig>();
    made->address = {*IpAddress::parse("127.0.0.1"), 0};
    socket = std::move(open_listener(made->address, false)).value();
    made->address.port = port_of(socket.get());
    config = made;
    std::vector<Fd> copies;
    copies.emplace_back(fcntl(socket.get(), F_DUPFD_CLOEXEC, 0));
    engine.hold_listener(std::move(copies), config, Sharing::kOwnSocket);
    engine.start_held();
  }

  RelayEngine engine{0};
  Fd socket;  // the other process's
  std::shared_ptr<const ListenerConfig> config;
};

TEST_F(EngineHandoverTest, IsWokenByWhatConnects) {
  const Fd client = dial(config->address.port);
  EXPECT_TRUE(engine.poll());
}

TEST_F(EngineHandoverTest, IsNotWokenAfterARelease) {
  engine.release_sockets();
  const Fd client = dial(config->address.port);
  EXPECT_FALSE(engine.poll());
}

TEST_F(EngineHandoverTest, IsNotWokenByAListenerThatItHasRemoved) {
  engine.remove_listener(config->address);
  const Fd client = dial(config->address.port);
  EXPECT_FALSE(engine.poll());
}

TEST_F(SocketHandoverTest, OneThatHasLeftNeverAcceptsAgain) {
  Server server;
  ASSERT_TRUE(serve({server.port}).empty());
  begin_swap(2);
  ASSERT_TRUE(serve({server.port}).empty());
  release();
  start();
  for (int i = 0; i < 50; ++i) talk(server);
  EXPECT_EQ(accepted(*leaving_), 0u);
  EXPECT_EQ(accepted(*path_), 50u);
}

TEST_F(SocketHandoverTest, ConnectionsStayWhereTheyAreAndEndThere) {
  Server server;
  ASSERT_TRUE(serve({server.port}).empty());
  const Fd client = talk(server);
  begin_swap(2);
  ASSERT_TRUE(serve({server.port}).empty());
  release();
  start();
  std::promise<void> over;
  on_control([&] { leaving_->drain(60'000, [&] { over.set_value(); }); });
  write_all(backends_[0].get(), "still here");
  char text[16] = {};
  EXPECT_EQ(recv(client.get(), text, sizeof text, 0), 10);
  auto ended = over.get_future();
  EXPECT_NE(ended.wait_for(std::chrono::milliseconds(0)), std::future_status::ready);
  shutdown(client.get(), SHUT_WR);
  backends_.clear();
  EXPECT_EQ(ended.wait_for(std::chrono::seconds(10)), std::future_status::ready);
}

TEST_F(SocketHandoverTest, AWorkerAcceptsFromSeveralSocketsOfOneListener) {
  on_control([&] { path_ = make(4); });
  Server server;
  ASSERT_TRUE(serve({server.port}).empty());
  begin_swap(1);
  ASSERT_TRUE(serve({server.port}).empty());
  release();
  start();
  for (int i = 0; i < 64; ++i) talk(server);
  EXPECT_EQ(accepted(*path_), 64u);
  EXPECT_EQ(sockets().size(), 4u);
}

TEST_F(SocketHandoverTest, AWorkerWithoutASocketOpensOneOnlyOnceTheOtherHasLeft) {
  Server server;
  ASSERT_TRUE(serve({server.port}).empty());
  begin_swap(3);
  ASSERT_TRUE(serve({server.port}).empty());
  EXPECT_EQ(sockets().size(), 2u);
  release();
  EXPECT_EQ(start(), 0u);
  std::set<unsigned> workers;
  for (const auto& socket : sockets()) workers.insert(socket.worker);
  EXPECT_EQ(workers, (std::set<unsigned>{0, 1, 2}));
  for (int i = 0; i < 64; ++i) talk(server);
  EXPECT_EQ(accepted(*path_), 64u);
}

TEST_F(SocketHandoverTest, TheOnlySocketOfAListenerStillFeedsEveryWorker) {
  on_control([&] { path_ = make(2, 0); });
  Server server;
  ASSERT_TRUE(serve({server.port}).empty());
  begin_swap(2, 0);
  ASSERT_TRUE(serve({server.port}).empty());
  release();
  start();
  std::vector<Fd> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(talk(server));
  EXPECT_EQ(accepted(*path_), 20u);
  EXPECT_GT(counters().passed_on, 0u);
}

TEST_F(SocketHandoverTest, ATakenPortIsNotProbedAndAnotherOneIs) {
  Server server, occupant;
  ASSERT_TRUE(serve({server.port}).empty());
  begin_swap(2);
  ASSERT_TRUE(serve({server.port}).empty());
  port_ = occupant.port;
  const auto failed = serve({server.port});
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].reason, "AddressInUse");
}

TEST_F(SocketHandoverTest, ATakenListenerThatIsRemovedIsClosed) {
  Server server;
  ASSERT_TRUE(serve({server.port}).empty());
  begin_swap(2);
  ASSERT_TRUE(serve({server.port}).empty());
  release();
  start();
  apply({{1, ++generation_}, {}});
  EXPECT_TRUE(eventually([&] { return !dial(port_).valid(); }));
}

TEST_F(SocketHandoverTest, ATakenSocketThatNoStateAsksForIsClosedAtTheStart) {
  Server server;
  ASSERT_TRUE(serve({server.port}).empty());
  begin_swap(2);
  apply({{1, ++generation_}, {}});
  release();
  EXPECT_TRUE(dial(port_).valid());
  start();
  EXPECT_TRUE(eventually([&] { return !dial(port_).valid(); }));
}

}  // namespace
}  // namespace lb::proxy
