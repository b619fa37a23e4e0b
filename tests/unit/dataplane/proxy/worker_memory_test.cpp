// A worker's heap is used up while it is told of a change: the change is not told of as done there,
// and is made good when there is memory again.
#include <algorithm>
#include <optional>

#include "tests/unit/dataplane/proxy/counting_new.hpp"
#include "tests/unit/dataplane/proxy/udp_path_fixture.hpp"

namespace lb::proxy {
namespace {

class WorkerMemoryTest : public UdpPathTest {
 protected:
  WorkerMemoryTest() { remake(256); }

  void remake(unsigned max_groups) {
    on_control([&] {
      path_ = make_data_path({.workers = 2,
                              .max_groups = max_groups,
                              .post = [this](auto task) { asio::post(control_, std::move(task)); },
                              .on_close =
                                  [this](const FlowRecord&) {
                                    if (FailingThreads::choose()) ++chosen_;
                                  },
                              .log_each = 1,
                              .on_change = [this] { ++changes_; }});
    });
    choose_workers();
  }
  // Both of them, by a connection that each has served; then nothing is served any more. Several
  // are open at a time: of a listener with one socket, the other worker gets what the first has no
  // time for.
  void choose_workers() {
    Server server;
    chosen_ = 0;
    ASSERT_TRUE(serve({server.port}).empty());
    for (int i = 0; i < 50 && chosen_ < 2; ++i) {
      std::vector<Fd> clients, peers;
      for (int j = 0; j < 8; ++j) {
        clients.push_back(dial(port_));
        peers.push_back(server.accept_one());
        ASSERT_TRUE(peers.back().valid());
      }
      clients.clear();
      peers.clear();
      ASSERT_TRUE(eventually([&] { return counters().active == 0; }));
    }
    ASSERT_TRUE(eventually([&] { return chosen_ == 2; }));
    ASSERT_TRUE(apply({{1, ++generation_}, {}}).empty());
    port_ = free_port();
    changes_ = 0;
  }
  std::vector<Failure> failures() {
    std::vector<Failure> out;
    on_control([&] { out = path_->failures(); });
    return out;
  }
  bool is_whole() {
    return eventually([&] { return failures().empty(); });
  }
  // Who answers a client that says nothing.
  static bool answers(Server& server, uint16_t port) {
    const Fd client = dial(port);
    if (!client.valid()) return false;
    pollfd waiting{server.fd.get(), POLLIN, 0};
    if (::poll(&waiting, 1, 5'000) != 1) return false;
    return server.accept_one().valid();
  }
  // Enough for both workers to be met.
  static bool always_answers(Server& server, uint16_t port) {
    for (int i = 0; i < 20; ++i) {
      if (!answers(server, port)) return false;
    }
    return true;
  }

  std::atomic<int> changes_{0};
  std::atomic<int> chosen_{0};
  std::optional<FailingThreads> failing_;
};

TEST_F(WorkerMemoryTest, AListenerThatAWorkerLacksMemoryForIsToldOfAndServedLater) {
  Server server;
  failing_.emplace();
  const auto failed = serve({server.port});
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].reason, "OutOfMemory");
  EXPECT_EQ(failed[0].port, port_);
  EXPECT_FALSE(port_status().programmed);
  EXPECT_EQ(port_status().reason, "OutOfMemory");
  EXPECT_GT(counters().no_memory, 0u);
  failing_.reset();
  EXPECT_TRUE(is_whole());
  EXPECT_TRUE(port_status().programmed);
  EXPECT_GT(changes_, 0) << "status is told of";
  EXPECT_TRUE(always_answers(server, port_));
}

TEST_F(WorkerMemoryTest, AClientThatCameMeanwhileIsServedWhenThereIsMemory) {
  Server server;
  failing_.emplace();
  serve({server.port});
  const Fd early = dial(port_);
  ASSERT_TRUE(early.valid()) << "the kernel has taken it";
  failing_.reset();
  const Fd peer = server.accept_one();
  ASSERT_TRUE(peer.valid());
  write_all(peer.get(), "hello");
  char text[5];
  EXPECT_EQ(recv(early.get(), text, sizeof text, MSG_WAITALL), 5);
}

TEST_F(WorkerMemoryTest, ABackendSetThatAWorkerDidNotTakeOverIsTakenOverLater) {
  Server before, after;
  ASSERT_TRUE(serve({before.port}).empty());
  ASSERT_TRUE(always_answers(before, port_));
  policy_.balance = Balance::kMaglev;  // a picker has to be made
  failing_.emplace();
  EXPECT_EQ(serve({after.port}).size(), 1u);
  failing_.reset();
  ASSERT_TRUE(is_whole());
  EXPECT_TRUE(always_answers(after, port_));
}

TEST_F(WorkerMemoryTest, AChangeThatEveryWorkerHasTakenIsToldOfAsWhole) {
  Server before, after;
  policy_.balance = Balance::kMaglev;
  failing_.emplace();
  ASSERT_EQ(serve({before.port}).size(), 1u);
  failing_.reset();
  EXPECT_TRUE(serve({after.port}).empty()) << "what was lost before is part of it";
  EXPECT_TRUE(always_answers(after, port_));
}

TEST_F(WorkerMemoryTest, AListenerThatLeavesMeanwhileIsForgotten) {
  Server server;
  failing_.emplace();
  ASSERT_EQ(serve({server.port}).size(), 1u);
  EXPECT_TRUE(apply({{1, ++generation_}, {}}).empty());
  failing_.reset();
  EXPECT_TRUE(failures().empty());
  EXPECT_FALSE(dial(port_).valid());
}

TEST_F(WorkerMemoryTest, AListenerWithOneSocketIsMadeGoodToo) {
  remake(0);
  Server server;
  failing_.emplace();
  ASSERT_EQ(serve({server.port}).size(), 1u);
  failing_.reset();
  ASSERT_TRUE(is_whole());
  EXPECT_TRUE(always_answers(server, port_));
}

TEST_F(WorkerMemoryTest, AUdpListenerIsMadeGoodToo) {
  UdpSocket backend;
  failing_.emplace();
  ASSERT_EQ(serve_ports({port(Protocol::kUdp, {backend.port})}).size(), 1u);
  failing_.reset();
  ASSERT_TRUE(is_whole());
  std::vector<UdpSocket> clients(10);
  for (auto& client : clients) {
    client.send_to(port_, "x");
    EXPECT_EQ(backend.receive().first, "x");
  }
}

TEST_F(WorkerMemoryTest, AListenerThatIsClosedByAWorkerWithoutMemoryIsClosed) {
  Server server;
  ASSERT_TRUE(serve({server.port}).empty());
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  failing_.emplace();
  EXPECT_TRUE(apply({{1, ++generation_}, {}}).empty());
  failing_.reset();
  EXPECT_TRUE(is_reset(client));
  EXPECT_FALSE(dial(port_).valid());
}

TEST_F(WorkerMemoryTest, AnOperatorsDrainReachesAWorkerThatLackedMemoryForIt) {
  Server drained, other;
  policy_.balance = Balance::kMaglev;
  ASSERT_TRUE(serve({drained.port, other.port}).empty());
  std::promise<void> told;
  {
    // The first thing that is asked for on the control thread once it is planned.
    failing_.emplace();
    on_control([&] {
      path_->set_drains({{"file/web", Endpoint{*IpAddress::parse("127.0.0.1"), drained.port}}},
                        [&] { told.set_value(); });
    });
    told.get_future().wait();
    failing_.reset();
  }
  ASSERT_TRUE(is_whole());
  EXPECT_TRUE(always_answers(other, port_));
}

TEST_F(WorkerMemoryTest, AListOfFlowsThatIsNotWholeIsNotGiven) {
  Server server;
  const std::string key = "file/with-a-name-that-is-longer-than-fits-into-a-string-itself";
  DesiredState state{{1, ++generation_}, {{key, {*IpAddress::parse("127.0.0.1")}, {}, {}}}};
  state.services.edit(0).ports.push_back(port(Protocol::kTcp, {server.port}));
  ASSERT_TRUE(apply(std::move(state)).empty());
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  ASSERT_EQ(flows().size(), 1u);
  auto answer = std::make_shared<std::promise<size_t>>();
  auto future = answer->get_future();
  failing_.emplace();
  on_control([&] {
    path_->flows({}, [answer = std::move(answer)](auto found) { answer->set_value(found.size()); });
  });
  EXPECT_THROW(future.get(), std::future_error) << "nobody answers";
  failing_.reset();
  EXPECT_EQ(flows().size(), 1u);
}

}  // namespace
}  // namespace lb::proxy
