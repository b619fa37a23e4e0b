// The loop of a worker's thread with real engines: whatever wakes it is served.
#include "dataplane/proxy/worker_loop.hpp"

#include <algorithm>
#include <future>
#include <new>
#include <set>
#include <thread>

#include "dataplane/proxy/udp_sockets.hpp"
#include "tests/unit/dataplane/proxy/engine_fixture.hpp"

namespace lb::proxy {
namespace {

constexpr auto kPatience = std::chrono::seconds(5);

struct Datagrams {
  Datagrams() : fd(socket(AF_INET, SOCK_DGRAM, 0)) {
    const auto address = loopback(0);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    endpoint = *local_endpoint(fd.get());
  }
  void send_to(const Endpoint& where) const {
    const auto address = loopback(where.port);
    (void)!sendto(fd.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  Fd fd;
  Endpoint endpoint;
};

class WorkerLoopTest : public testing::Test {
 protected:
  void SetUp() override {
    thread_ = std::thread([this] { loop_.run(); });
  }
  void TearDown() override {
    loop_.post([this] {
      tcp_.engine.reset_everything();
      udp_.reset_everything();
      loop_.stop();
    });
    thread_.join();
  }
  // What the task gives, when the loop has come to it.
  template <class Task>
  auto on_loop(Task task) {
    auto promise = std::make_shared<std::promise<decltype(task())>>();
    auto answer = promise->get_future();
    loop_.post([task, promise] { promise->set_value(task()); });
    EXPECT_EQ(answer.wait_for(kPatience), std::future_status::ready);
    return answer.get();
  }
  void serve(const std::vector<uint16_t>& backends, const Policy& policy = {}) {
    on_loop([&] {
      tcp_.serve(backends, policy);
      return true;
    });
  }
  // The address at which datagrams are taken for the backend.
  Endpoint serve_udp(const Endpoint& backend) {
    auto config = std::make_shared<ListenerConfig>();
    config->key = "file/dns";
    config->records.push_back(std::make_shared<BackendRecord>(backend));
    balance::Candidate candidate{};
    candidate.weight = 1;
    config->candidates.push_back(candidate);
    return on_loop([&] {
      auto fd = open_udp_listener({*IpAddress::parse("127.0.0.1"), 0}, false).value();
      config->address = *local_endpoint(fd.get());
      udp_.add_listener(std::move(fd), config);
      return config->address;
    });
  }

  Engine tcp_;
  UdpRelay udp_{0};
  WorkerLoop loop_{tcp_.engine, udp_};
  std::thread thread_;
};

TEST_F(WorkerLoopTest, TasksRunInTheirOrderOnItsThread) {
  std::vector<int> order;
  std::set<std::thread::id> threads;
  for (int i = 0; i < 100; ++i) {
    loop_.post([&, i] {
      order.push_back(i);
      threads.insert(std::this_thread::get_id());
    });
  }
  EXPECT_EQ(on_loop([&] { return order.size(); }), 100u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(threads, std::set<std::thread::id>{thread_.get_id()});
}

TEST_F(WorkerLoopTest, NoTaskOfManyThreadsIsForgotten) {
  constexpr int kThreads = 4, kEach = 20'000;
  std::atomic<int> done{0};
  std::vector<std::thread> posters;
  for (int i = 0; i < kThreads; ++i) {
    posters.emplace_back([&] {
      for (int k = 0; k < kEach; ++k) loop_.post([&] { ++done; });
    });
  }
  for (auto& each : posters) each.join();
  EXPECT_EQ(on_loop([&] { return done.load(); }), kThreads * kEach);
}

TEST_F(WorkerLoopTest, ATaskMayPostAnother) {
  std::promise<void> second;
  loop_.post([&] { loop_.post([&] { second.set_value(); }); });
  EXPECT_EQ(second.get_future().wait_for(kPatience), std::future_status::ready);
}

TEST_F(WorkerLoopTest, ATaskThatLacksMemoryIsCountedAndThoseBehindItRun) {
  loop_.post([] { throw std::bad_alloc(); });
  loop_.post([] { throw std::bad_alloc(); });
  EXPECT_EQ(on_loop([&] { return tcp_.count(&EngineCounters::no_memory); }), 2u);
}

TEST_F(WorkerLoopTest, ConnectionsAndDatagramsAreServedByTheSameWait) {
  const Server server;
  const Datagrams backend, client;
  serve({server.port});
  const Endpoint where = serve_udp(backend.endpoint);
  const Fd connection = proxy::dial(tcp_.listener->address.port);
  client.send_to(where);
  write_all(connection.get(), "x");
  pollfd ready[] = {{backend.fd.get(), POLLIN, 0}, {server.fd.get(), POLLIN, 0}};
  EXPECT_EQ(::poll(&ready[0], 1, 5000), 1);
  EXPECT_EQ(::poll(&ready[1], 1, 5000), 1);
}

TEST_F(WorkerLoopTest, ADeadlinePassesWhileNothingElseHappens) {
  const BlackHole hole;
  Policy policy;
  policy.connect_attempts = 1;
  policy.connect_timeout_ms = 30;
  serve({hole.port}, policy);
  const Fd client = proxy::dial(tcp_.listener->address.port);
  EXPECT_TRUE(is_reset(client));
  EXPECT_EQ(on_loop([&] { return tcp_.count(&EngineCounters::connect_timeouts); }), 1u);
}

TEST_F(WorkerLoopTest, ANearerDeadlineIsNotLateForOneFarAway) {
  Server server;
  const BlackHole hole;
  Policy far;
  far.idle_timeout_s = 3600;
  serve({server.port}, far);
  const Fd idle = proxy::dial(tcp_.listener->address.port);
  const Fd served = server.accept_one();
  Policy near;
  near.connect_attempts = 1;
  near.connect_timeout_ms = 30;
  serve({hole.port}, near);
  const Fd client = proxy::dial(tcp_.listener->address.port);
  EXPECT_TRUE(is_reset(client));
  EXPECT_FALSE(has_input(idle)) << "the other one goes on";
}

TEST_F(WorkerLoopTest, DatagramsWithoutEndDoNotSilenceTasks) {
  const Datagrams backend;
  const Endpoint where = serve_udp(backend.endpoint);
  std::atomic<bool> enough{false};
  std::thread flood([&] {
    const Datagrams client;
    while (!enough) client.send_to(where);
  });
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(on_loop([] { return true; }));
  enough = true;
  flood.join();
}

}  // namespace
}  // namespace lb::proxy
