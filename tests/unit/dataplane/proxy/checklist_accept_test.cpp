// Lines (q) to (v) of the checklist: how clients are let in, also when there is no room.
#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>

#include "dataplane/listen_queue.hpp"
#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"
#include "tests/unit/dataplane/health/few_descriptors.hpp"
#include "tests/unit/dataplane/proxy/checklist_support.hpp"

namespace lb::proxy {
namespace {

// Made before descriptors run out: connecting takes none.
std::vector<Fd> unconnected(int count) {
  std::vector<Fd> out;
  for (int i = 0; i < count; ++i) {
    out.emplace_back(socket(AF_INET, SOCK_STREAM, 0));
    const timeval limit{5, 0};
    setsockopt(out.back().get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  return out;
}

void connect_all(const std::vector<Fd>& clients, uint16_t port) {
  const auto address = loopback(port);
  for (const Fd& each : clients) {
    ASSERT_EQ(connect(each.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0)
        << std::strerror(errno);
  }
}

// As long as it lives, so many descriptors may be open in this process.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(rlim_t most) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit now{most, before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &now), 0);
  }
  ~DescriptorLimit() { setrlimit(RLIMIT_NOFILE, &before_); }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;

 private:
  rlimit before_{};
};

TEST_F(Checklist, Q_out_of_descriptors_accepting_pauses_and_goes_on) {
  Server server;
  serve({server.port});
  const std::vector<Fd> clients = unconnected(20);
  {
    const health::FewDescriptors none;
    connect_all(clients, port_);
    ASSERT_TRUE(eventually([&] { return counters().accept_paused > 0; }));
    const uint64_t before = counters().accept_paused;
    pause_ms(550);
    EXPECT_LE(counters().accept_paused - before, 12u) << "two workers, ten pauses a second";
    EXPECT_EQ(counters().active, 0u);
  }
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(server.accept_one().valid()) << i;
  EXPECT_EQ(counters().no_backend, 0u) << "nobody was turned away";
}

TEST_F(Checklist, Q_the_last_descriptors_are_kept_for_others_than_clients) {
  Server server;
  const std::vector<Fd> clients = unconnected(200);
  on_control([&] { path_.reset(); });
  const rlim_t most = rlim_t(open_descriptors().back()) + 160;
  const DescriptorLimit limit(most);
  on_control([&] {
    path_ = make_data_path(
        {.workers = 2,
         .descriptors = share_descriptors(most, 2),
         .post = [this](std::function<void()> task) { asio::post(control_, std::move(task)); }});
  });
  for (const auto& failure : serve({server.port})) ADD_FAILURE() << failure.message;
  connect_all(clients, port_);
  ASSERT_TRUE(eventually([&] { return counters().accept_paused >= 6; }));
  std::vector<Fd> others;
  for (int i = 0; i < 8; ++i) others.emplace_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
  for (const Fd& each : others) EXPECT_TRUE(each.valid()) << "an admin could not be answered";
  others.clear();
  const uint64_t in = counters().accepted;
  EXPECT_GE(in, 20u) << "but clients are let in while there is room";
  EXPECT_EQ(counters().no_backend, 0u) << "whoever is let in can be connected";
  for (size_t i = 0; i < 200; ++i) {  // those that are in leave, so that all get their turn
    const Fd peer = server.accept_one();
    ASSERT_TRUE(peer.valid()) << i;
    reset(const_cast<Fd&>(peer));
  }
  EXPECT_TRUE(eventually([&] { return counters().closed == 200; }));
}

TEST_F(Checklist, R_clients_that_leave_before_they_are_accepted_stop_nobody) {
  Server server;
  serve({server.port});
  std::vector<Fd> good;
  for (int i = 0; i < 50; ++i) {
    for (int hasty = 0; hasty < 4; ++hasty) {
      Fd client = dial(port_);
      reset(client);
    }
    good.push_back(dial(port_));
    ASSERT_TRUE(good.back().valid());
    write_all(good.back().get(), "x");
  }
  EXPECT_TRUE(eventually([&] { return counters().active == 50 && counters().bytes_in >= 50; }));
  EXPECT_EQ(counters().accepted, 250u);
  EXPECT_EQ(counters().accept_paused, 0u);
}

TEST_F(Checklist, S_each_worker_listens_and_no_socket_leaks_to_a_child) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  const auto listeners = relay_listeners(port_);
  EXPECT_EQ(listeners.size(), 2u) << "one for each worker";
  for (const int fd : listeners) EXPECT_EQ(option(fd, SOL_SOCKET, SO_REUSEPORT), 1);
  std::vector<int> all = listeners;
  for (const int fd : relay_clients(port_)) all.push_back(fd);
  for (const int fd : relay_backends(server.port)) all.push_back(fd);
  ASSERT_EQ(all.size(), 4u);
  for (const int fd : all) {
    EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_NE(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
  }
}

TEST(ChecklistEngine, S_one_wakeup_accepts_no_more_than_its_share) {
  const uint16_t port = free_port();
  const Endpoint at{*IpAddress::parse("127.0.0.1"), port};
  RelayEngine engine(0);
  auto config = std::make_shared<ListenerConfig>();
  config->address = at;

  engine.add_listener(std::move(open_listener(at, false)).value(), config);
  std::vector<Fd> clients;
  for (int i = 0; i < 150; ++i) clients.push_back(dial(port));
  uint64_t before = 0;
  while (engine.poll()) {
    const uint64_t now = engine.counters().accepted;
    EXPECT_LE(now - before, 64u);
    before = now;
  }
  EXPECT_EQ(before, 150u) << "level-triggered: the rest comes up again";
}

TEST_F(Checklist, T_the_queue_is_as_long_as_the_system_allows) {
  serve({});
  std::ifstream file("/proc/sys/net/core/somaxconn");
  unsigned most = 0;
  file >> most;
  for (const int fd : relay_listeners(port_)) {
    tcp_info info{};
    socklen_t size = sizeof info;
    ASSERT_EQ(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    EXPECT_EQ(info.tcpi_sacked, std::min(most, 4096u)) << "of a listener: the backlog";
  }
}

TEST_F(Checklist, T_what_a_full_queue_drops_is_exported) {
  const auto before = dataplane::listen_overflows();
  if (!before) GTEST_SKIP() << "this kernel does not tell";
  const BlackHole full;
  std::vector<Fd> more;
  for (int i = 0; i < 4; ++i) {
    more.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    const auto where = loopback(full.port);
    connect(more.back().get(), reinterpret_cast<const sockaddr*>(&where), sizeof where);
  }
  EXPECT_GT(*dataplane::listen_overflows(), *before);
}

TEST_F(Checklist, U_no_client_is_kept_at_the_door_until_it_speaks) {
  Server server;
  serve({server.port});
  for (const int fd : relay_listeners(port_)) {
    EXPECT_EQ(option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
  }
  const Fd client = dial(port_);
  EXPECT_TRUE(server.accept_one().valid()) << "it has said nothing";
}

TEST_F(Checklist, V_a_listener_with_one_socket_shares_its_clients_evenly) {
  on_control([&] {
    path_ =
        make_data_path({.workers = 2, .max_groups = 0, .post = [this](std::function<void()> task) {
                          asio::post(control_, std::move(task));
                        }});
  });
  Server server;
  serve({server.port});
  ASSERT_EQ(relay_listeners(port_).size(), 1u);
  std::vector<Fd> clients, peers;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(dial(port_));
    peers.push_back(server.accept_one());
    write_all(clients.back().get(), "x");
    char text[1];
    ASSERT_EQ(recv(peers.back().get(), text, 1, MSG_WAITALL), 1);
  }
  EXPECT_GE(counters().passed_on, 15u);
  EXPECT_LE(counters().passed_on, 25u);
}

}  // namespace
}  // namespace lb::proxy
