// What the pool does around the bytes: failures that pass, listeners with one socket, who is told.
#include <functional>
#include <mutex>
#include <vector>

#include "dataplane/proxy/socket_handover.hpp"
#include "tests/unit/dataplane/proxy/data_path_fixture.hpp"

namespace lb::proxy {
namespace {

class WorkerPoolTest : public DataPathTest {
 protected:
  void make(unsigned max_groups) {
    on_control([&] {
      path_ = make_data_path({.workers = 2,
                              .max_groups = max_groups,
                              .post = [this](auto task) { asio::post(control_, std::move(task)); },
                              .on_ejection =
                                  [this](const BackendId& id, const std::string& reason) {
                                    EXPECT_EQ(id.key, "file/web");
                                    EXPECT_EQ(id.port, port_);
                                    ejections_.push_back({id.backend.port, reason});
                                  },
                              .on_change = [this] { ++changes_; }});
    });
  }
  std::vector<Failure> failures() {
    std::vector<Failure> out;
    on_control([&] { out = path_->failures(); });
    return out;
  }

  std::vector<std::pair<uint16_t, std::string>> ejections_;  // of the control thread
  std::atomic<int> changes_{0};
};

TEST_F(WorkerPoolTest, AFailureThatHasPassedIsForgottenAndTold) {
  make(256);
  Server occupant;
  Server server;
  port_ = occupant.port;
  ASSERT_EQ(serve({server.port}).size(), 1u);
  EXPECT_EQ(failures().size(), 1u);
  occupant.fd.reset();
  EXPECT_TRUE(eventually([&] { return failures().empty(); }));
  EXPECT_TRUE(eventually([&] { return changes_ > 0; }));
  EXPECT_TRUE(port_status().programmed);
}

TEST_F(WorkerPoolTest, AnEjectionAndTheReturnAreTold) {
  make(256);
  Server returning;
  const uint16_t port = returning.port;
  returning.fd.reset();
  policy_.ejection = {.refused = 1, .timeouts = 1, .seconds = 1};
  serve({port});
  EXPECT_TRUE(is_reset(dial(port_)));
  EXPECT_TRUE(eventually([&] { return changes_ == 1; }));
  on_control([&] {
    ASSERT_EQ(ejections_.size(), 1u);
    EXPECT_EQ(ejections_[0], std::pair(port, std::string("Refused")));
  });
  Fd back(socket(AF_INET, SOCK_STREAM, 0));
  const int on = 1;
  setsockopt(back.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const auto address = loopback(port);
  ASSERT_EQ(bind(back.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  listen(back.get(), 16);
  EXPECT_TRUE(eventually([&] { return changes_ == 2; }));
  on_control([&] { EXPECT_EQ(ejections_.back(), std::pair(port, std::string())); });
}

TEST_F(WorkerPoolTest, AListenerWithOneSocketIsServedByAllWorkers) {
  make(0);
  Server server;
  ASSERT_TRUE(serve({server.port}).empty());
  std::vector<Fd> clients, peers;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(dial(port_));
    peers.push_back(server.accept_one());
    write_all(clients.back().get(), "x");
    char text[1];
    ASSERT_EQ(recv(peers.back().get(), text, 1, MSG_WAITALL), 1);
  }
  EXPECT_GE(counters().passed_on, 5u) << "about half of them";
  EXPECT_EQ(port_status().connections, 20u);
}

TEST_F(WorkerPoolTest, AListenerWithOneSocketClosesWithItsConnections) {
  make(0);
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  apply({{1, 99}, {}});
  EXPECT_TRUE(is_reset(client));
  EXPECT_FALSE(dial(port_).valid());
}

TEST_F(WorkerPoolTest, TheAddressesOfOnePortWithOneSocketEachAreSharedAmongTheWorkers) {
  constexpr int kAddresses = 64;
  make(0);
  Service web{"file/web", {}, {{}}, {}};
  web.ports[0].port = port_;
  web.ports[0].protocol = Protocol::kUdp;
  for (int i = 1; i <= kAddresses; ++i) web.addresses.push_back(IpAddress::v4(0x7f000100 + i));
  ASSERT_TRUE(apply({{1, 1}, {web}}).empty());
  int of[2] = {};
  on_control([&] {
    for (const auto& socket : path_->handover()->sockets()) ++of[socket.worker];
  });
  EXPECT_EQ(of[0] + of[1], kAddresses);
  EXPECT_GE(std::min(of[0], of[1]), 8) << "about half of them each";
}

TEST_F(WorkerPoolTest, ListensOnlyToWhatCouldBeOpened) {
  make(256);
  Server occupant, server;
  DesiredState state{{1, 1}, {{"file/web", {*IpAddress::parse("127.0.0.1")}, {}, {}}}};
  for (const uint16_t number : {port_, occupant.port}) {
    ServicePort port;
    port.port = number;
    state.services.edit(0).ports.push_back(port);
  }
  EXPECT_EQ(apply(state).size(), 1u);
  on_control([&] {
    const auto open = path_->listening();
    ASSERT_EQ(open.size(), 1u);
    EXPECT_EQ(open.begin()->at.port, port_);
  });
}

TEST_F(WorkerPoolTest, TellsOfTheServicesThatAreNamed) {
  make(256);
  DesiredState state{{1, ++generation_}, {}};
  for (const char* key : {"file/a", "file/b", "file/c"}) {
    Service service{key, {*IpAddress::parse("127.0.0.1")}, {}, {}};
    service.ports.emplace_back().port = free_port();
    state.services.push_back(service);
  }
  apply(state);
  std::vector<ServiceStatus> all;
  std::vector<ServiceStatus> some;
  on_control([&] {
    all = path_->status();
    some = path_->status_of({"file/aa", "file/b", "file/c", "file/d"});
  });
  ASSERT_EQ(all.size(), 3u);
  ASSERT_EQ(some.size(), 2u);
  EXPECT_EQ(some[0].key, "file/b");
  EXPECT_TRUE(some[0].ports.at(0).programmed);
  EXPECT_EQ(some[0].ports.at(0).port, all[1].ports.at(0).port);
  EXPECT_EQ(some[1].key, "file/c");
}

TEST_F(WorkerPoolTest, WhatIsKnownOfABackendOutlivesAPortThatIsTaken) {
  make(256);
  Server occupant, server;
  port_ = occupant.port;
  ASSERT_EQ(serve({server.port}).size(), 1u);
  const BackendId id{
      "file/web", port_, Protocol::kTcp, {*IpAddress::parse("127.0.0.1"), server.port}};
  on_control([&] { path_->set_health(id, Health::kDown, "HttpStatus: 500"); });
  occupant.fd.reset();
  ASSERT_TRUE(eventually([&] { return failures().empty(); }));
  EXPECT_EQ(port_status().backends.at(0).health, "down");
}

TEST(StoppedWorkerPool, WhatItsWorkersToldTooLateIsDropped) {
  std::mutex mutex;
  std::vector<std::function<void()>> told;
  auto pool = make_data_path({.workers = 2, .post = [&](std::function<void()> task) {
                                const std::lock_guard lock(mutex);
                                told.push_back(std::move(task));
                              }});
  pool->drain(0, [] { FAIL() << "it is stopped"; });
  pool->stop();
  ASSERT_FALSE(told.empty()) << "that everything before the drain was done";
  for (const auto& task : told) task();
  pool.reset();
  for (const auto& task : told) task();
}

}  // namespace
}  // namespace lb::proxy
