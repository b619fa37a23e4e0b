// Relay, close fidelity and change, over real sockets.
#include <poll.h>

#include <algorithm>
#include <array>
#include <set>

#include "tests/unit/dataplane/proxy/data_path_fixture.hpp"

namespace lb::proxy {
namespace {

TEST_F(DataPathTest, RelaysBothWays) {
  Server server;
  ASSERT_TRUE(serve({server.port}).empty());
  const Fd client = dial(port_);
  write_all(client.get(), "ping");
  const Fd peer = server.accept_one();
  char text[4];
  ASSERT_EQ(recv(peer.get(), text, 4, MSG_WAITALL), 4);
  write_all(peer.get(), "pong");
  EXPECT_EQ(recv(client.get(), text, 4, MSG_WAITALL), 4);
  EXPECT_EQ(std::string(text, 4), "pong");
}

TEST_F(DataPathTest, AnswersAClientThatHasFinishedSending) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  write_all(client.get(), "request");
  shutdown(client.get(), SHUT_WR);
  const Fd peer = server.accept_one();
  EXPECT_EQ(read_all(peer.get()), "request");
  const std::string answer(1 << 20, 'a');
  std::thread writer([&] {
    write_all(peer.get(), answer);
    shutdown(peer.get(), SHUT_WR);
  });
  EXPECT_EQ(read_all(client.get()), answer);
  writer.join();
}

TEST_F(DataPathTest, TakesUploadsAfterTheServerHasFinished) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  shutdown(peer.get(), SHUT_WR);
  EXPECT_EQ(read_all(client.get()), "");
  const std::string upload(256 << 10, 'u');
  write_all(client.get(), upload);
  shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(read_all(peer.get()), upload);
}

TEST_F(DataPathTest, PassesAServersResetOnAfterWhatItSaid) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  Fd peer = server.accept_one();
  write_all(peer.get(), "BYE");
  char text[3];
  ASSERT_EQ(recv(client.get(), text, 3, MSG_WAITALL | MSG_PEEK), 3);
  reset(peer);
  EXPECT_EQ(recv(client.get(), text, 3, MSG_WAITALL), 3);
  EXPECT_EQ(recv(client.get(), text, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

TEST_F(DataPathTest, PassesAClientsResetOn) {
  Server server;
  serve({server.port});
  Fd client = dial(port_);
  write_all(client.get(), "x");
  const Fd peer = server.accept_one();
  char text[1];
  ASSERT_EQ(recv(peer.get(), text, 1, MSG_WAITALL), 1);
  reset(client);
  EXPECT_EQ(recv(peer.get(), text, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT_EQ(counters().resets_from_client, 1U);
}

TEST_F(DataPathTest, LetsTheServerSpeakFirst) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  write_all(peer.get(), "220 ready");
  char text[9];
  EXPECT_EQ(recv(client.get(), text, 9, MSG_WAITALL), 9);
}

TEST_F(DataPathTest, RetriesARefusedConnectOnAnotherBackend) {
  Server server;
  serve({free_port(), server.port});
  for (int i = 0; i < 10; ++i) {
    const Fd client = dial(port_);
    write_all(client.get(), "x");
    const Fd peer = server.accept_one();
    char text[1];
    EXPECT_EQ(recv(peer.get(), text, 1, MSG_WAITALL), 1);
  }
  EXPECT_GT(counters().retries, 0U);
  EXPECT_EQ(counters().no_backend, 0U);
}

TEST_F(DataPathTest, SendsOneClientToOneBackendByMaglevUntilThePolicyChanges) {
  constexpr size_t kServers = 8;
  const std::array<Server, kServers> servers;
  std::vector<uint16_t> ports;
  std::vector<pollfd> waiting;
  for (const Server& server : servers) {
    ports.push_back(server.port);
    waiting.push_back({server.fd.get(), POLLIN, 0});
  }
  std::vector<Fd> open;
  const auto served_by = [&] {
    open.push_back(dial(port_));
    EXPECT_EQ(poll(waiting.data(), waiting.size(), 5000), 1);
    const auto found = std::find_if(waiting.begin(), waiting.end(),
                                    [](const pollfd& each) { return each.revents != 0; });
    if (found == waiting.end()) return kServers;
    open.emplace_back(accept(found->fd, nullptr, nullptr));
    return size_t(found - waiting.begin());
  };
  policy_.balance = Balance::kMaglev;
  EXPECT_TRUE(serve(ports).empty());
  const size_t first = served_by();
  EXPECT_EQ(served_by(), first);
  policy_.balance = Balance::kRoundRobin;
  EXPECT_TRUE(serve(ports).empty());
  std::set<size_t> seen;
  for (size_t i = 0; i < kServers; ++i) seen.insert(served_by());
  EXPECT_GT(seen.size(), 1U);
}

TEST_F(DataPathTest, ResetsAtOnceWhenThereIsNobody) {
  serve({});
  const Fd client = dial(port_);
  char text[1];
  EXPECT_EQ(recv(client.get(), text, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT_EQ(counters().no_backend, 1U);
}

TEST_F(DataPathTest, ResetsConnectionsOfARemovedBackendAfterItsDrain) {
  Server server, other;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  policy_.drain_s = 0;
  serve({other.port});
  char text[1];
  EXPECT_EQ(recv(client.get(), text, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT_EQ(recv(peer.get(), text, 1, 0), -1);
  EXPECT_EQ(counters().drain_resets, 1U);
}

TEST_F(DataPathTest, LeavesConnectionsAloneThatAChangeDoesNotConcern) {
  Server server, other;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  serve({server.port, other.port});
  write_all(client.get(), "still here");
  char text[10];
  EXPECT_EQ(recv(peer.get(), text, 10, MSG_WAITALL), 10);
}

TEST_F(DataPathTest, ClosesAListenerThatLeavesTheState) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  apply({{1, 99}, {}});
  char text[1];
  EXPECT_EQ(recv(client.get(), text, 1, 0), -1);
  EXPECT_FALSE(dial(port_).valid());
}

TEST_F(DataPathTest, SaysWhenThePortIsTaken) {
  Server occupant;
  port_ = occupant.port;
  const auto failed = serve({});
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].reason, "AddressInUse");
  EXPECT_EQ(port_status().reason, "AddressInUse");
}

TEST_F(DataPathTest, NamesAFieldThatItDoesNotServe) {
  DesiredState state{{1, 1}, {{"k", {*IpAddress::parse("127.0.0.1")}, {}, {}}}};
  ServicePort port;
  port.port = port_;
  port.policy.mode = Mode::kKernel;
  state.services.edit(0).ports.push_back(port);
  const auto failed = apply(state);
  ASSERT_EQ(failed.size(), 1U);
  EXPECT_EQ(failed[0].reason, "Unsupported");
  EXPECT_NE(failed[0].message.find("policy.mode"), std::string::npos);
}

TEST_F(DataPathTest, ABackendIsUpWhileItMayBeGivenConnections) {
  DesiredState state{{1, 1}, {}};
  ServicePort listener;
  listener.port = port_;
  const auto add = [&](uint16_t port, BackendState ready, uint16_t weight) {
    Backend& backend = listener.backends.emplace_back();
    backend.address = *IpAddress::parse("127.0.0.1");
    backend.port = port;
    backend.state = ready;
    backend.weight = weight;
  };
  add(1, BackendState::kReady, 1);
  add(2, BackendState::kNotReady, 1);
  add(3, BackendState::kReady, 0);
  add(4, BackendState::kDraining, 1);
  add(5, BackendState::kReady, 1);
  add(6, BackendState::kReady, 1);
  state.services.push_back({"file/web", {*IpAddress::parse("127.0.0.1")}, {listener}, {}});
  ASSERT_TRUE(apply(std::move(state)).empty());
  set_health(5, Health::kDown);
  on_control([&] {
    path_->set_drains({{"", Endpoint{*IpAddress::parse("127.0.0.1"), 6}}}, [] {});
    std::vector<uint16_t> up;
    const auto totals = path_->totals();
    for (const auto& backend : totals.at(0).backends) {
      if (backend.up) up.push_back(backend.backend.port);
    }
    EXPECT_EQ(up, std::vector<uint16_t>{1});
  });
}

// The first word of the reason: a metric has it as a label.
TEST_F(DataPathTest, TotalsSayInAWordWhyABackendIsDown) {
  serve({1, 2});
  const auto why = [this](uint16_t port) {
    const auto totals = path_->totals();
    for (const auto& each : totals.at(0).backends) {
      if (each.backend.port == port) return each.why_down;
    }
    return std::string("no such backend");
  };
  const IpAddress here = *IpAddress::parse("127.0.0.1");
  const BackendId id{"file/web", port_, Protocol::kTcp, {here, 2}};
  on_control([&] {
    path_->set_health(id, Health::kDown, "HttpStatus: 500");
    EXPECT_EQ(why(1), "");
    EXPECT_EQ(why(2), "HttpStatus");
    path_->set_health(id, Health::kUp, "");
    EXPECT_EQ(why(2), "");
  });
}

}  // namespace
}  // namespace lb::proxy
