// Lines (gg) to (oo) of the checklist: the event loop under it, and what changes around it.
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <random>

#include "common/net/http_server.hpp"
#include "dataplane/handoff/descriptor_passing.hpp"
#include "dataplane/proxy/relay_engine.hpp"
#include "dataplane/proxy/sockets.hpp"
#include "dataplane/state_store.hpp"
#include "tests/unit/dataplane/health/few_descriptors.hpp"
#include "tests/unit/dataplane/proxy/checklist_support.hpp"
#include "tests/unit/dataplane/proxy/own_network.hpp"

namespace lb::proxy {
namespace {

// An engine that only the test polls, with one listener.
struct HandDriven {
  HandDriven(uint16_t port, uint16_t backend) {
    const IpAddress local = *IpAddress::parse("127.0.0.1");
    auto made = std::make_shared<ListenerConfig>();
    made->address = {local, port};
    made->records.push_back(std::make_shared<BackendRecord>(Endpoint{local, backend}));
    balance::Candidate candidate;
    candidate.weight = 1;
    made->candidates.push_back(candidate);
    config = std::move(made);
  }
  // Until nothing is ready and `holds`; for five seconds at most.
  bool poll_until(const std::function<bool()>& holds) {
    for (int i = 0; i < 5000; ++i) {
      while (engine.poll()) {
      }
      if (holds()) return true;
      pause_ms(1);
    }
    return false;
  }
  RelayEngine engine{0};
  std::shared_ptr<const ListenerConfig> config;
};

TEST_F(Checklist, GG_no_wakeup_is_lost_however_bytes_and_silence_follow_each_other) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  Server server;
  serve({server.port});
  std::vector<Fd> clients, peers;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(dial(port_));
    peers.push_back(server.accept_one());
  }
  for (int round = 0; round < 1000; ++round) {
    const uint64_t chosen = random();
    for (size_t i = 0; i < clients.size(); ++i) {
      if ((chosen >> i & 1) == 0) continue;
      ASSERT_EQ(send(clients[i].get(), "w", 1, MSG_NOSIGNAL), 1);
    }
    for (size_t i = 0; i < clients.size(); ++i) {
      if ((chosen >> i & 1) == 0) continue;
      ASSERT_TRUE(wait_for(peers[i], POLLIN)) << "round " << round;
      char text[1];
      ASSERT_EQ(recv(peers[i].get(), text, 1, 0), 1);
    }
    if (round % 100 == 0) pause_ms(5);
  }
}

TEST(ChecklistEngine, HH_a_wakeup_without_a_cause_changes_nothing) {
  signal(SIGPIPE, SIG_IGN);
  Server server;
  const uint16_t port = free_port();
  HandDriven hand(port, server.port);
  const Endpoint at{*IpAddress::parse("127.0.0.1"), port};
  hand.engine.add_listener(std::move(open_listener(at, false)).value(), hand.config);
  const Fd client = dial(port);
  ASSERT_TRUE(hand.poll_until([&] { return hand.engine.sessions() == 1; }));
  const Fd peer = server.accept_one();
  ASSERT_TRUE(hand.poll_until([&] { return true; }));
  for (int i = 0; i < 1000; ++i) {
    EXPECT_FALSE(hand.engine.poll()) << "nothing is ready";
    hand.engine.tick();
  }
  EXPECT_EQ(hand.engine.sessions(), 1u);
  write_all(client.get(), "still there");
  ASSERT_TRUE(hand.poll_until([&] { return hand.engine.counters().bytes_in == 11; }));
  char text[11];
  EXPECT_EQ(recv(peer.get(), text, sizeof text, MSG_WAITALL), 11);
}

TEST_F(Checklist, II_the_admin_goes_on_accepting_after_it_could_not) {
  std::unique_ptr<net::HttpServer> server;
  on_control([&] {
    net::HttpServerOptions options;
    options.listen = Endpoint{*IpAddress::parse("127.0.0.1"), port_};
    options.body_limit = [](auto&, auto&) { return size_t{1000}; };
    auto started =
        net::HttpServer::start(control_, std::move(options), [](const auto&, auto respond) {
          net::HttpResponse answer;
          answer.body = "yes";
          respond(answer);
        });
    ASSERT_TRUE(started.ok());
    server = std::move(started).value();
  });
  Fd client(socket(AF_INET, SOCK_STREAM, 0));
  const timeval limit{5, 0};
  setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  const auto address = loopback(port_);
  {
    const health::FewDescriptors none;
    ASSERT_EQ(connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    pause_ms(50);
  }
  write_all(client.get(), "GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
  EXPECT_NE(receive_all(client).bytes.find("yes"), std::string::npos);
  on_control([&] {
    server->stop();
    server.reset();
  });
}

TEST_F(Checklist,
       JJ_a_removed_backend_gets_nothing_new_and_keeps_what_it_has_until_its_drain_ends) {
  Server leaving, staying;
  policy_.drain_s = 1;
  serve({leaving.port});
  const Fd client = dial(port_);
  const Fd peer = leaving.accept_one();
  serve({staying.port});
  for (int i = 0; i < 6; ++i) {
    const Fd other = dial(port_);
    EXPECT_TRUE(staying.accept_one().valid()) << i;
  }
  write_all(client.get(), "still relayed");
  char text[13];
  EXPECT_EQ(recv(peer.get(), text, sizeof text, MSG_WAITALL), 13);
  EXPECT_TRUE(is_reset(client));
  EXPECT_TRUE(is_reset(peer));
  EXPECT_EQ(counters().drain_resets, 1u);
  on_control([&] {
    EXPECT_EQ(path_->totals().at(0).drains, 1u);
    EXPECT_EQ(path_->totals().at(0).drain_resets, 1u);
  });
}

TEST_F(Checklist, JJ_a_backend_that_terminates_is_the_last_resort) {
  Server ready, terminating;
  DesiredState state{{1, 1}, {{"file/web", {*IpAddress::parse("127.0.0.1")}, {}, {}}}};
  ServicePort& listener = state.services.edit(0).ports.emplace_back();
  listener.port = port_;
  for (const uint16_t port : {ready.port, terminating.port}) {
    Backend& backend = listener.backends.emplace_back();
    backend.address = *IpAddress::parse("127.0.0.1");
    backend.port = port;
    if (port == terminating.port) backend.state = BackendState::kDraining;
  }
  apply(state);
  for (int i = 0; i < 6; ++i) {
    const Fd client = dial(port_);
    EXPECT_TRUE(ready.accept_one().valid());
  }
  state.version.generation = 2;
  std::erase_if(state.services.edit(0).ports[0].backends,
                [&](const Backend& each) { return each.port == ready.port; });
  apply(state);
  const Fd client = dial(port_);
  EXPECT_TRUE(terminating.accept_one().valid()) << "better than nobody";
}

TEST_F(Checklist, JJ_the_drain_of_a_backend_that_never_answered_ends_with_the_dial) {
  Server server;
  const BlackHole hole;
  policy_.drain_s = 1;
  policy_.connect_timeout_ms = 300;
  serve({hole.port});
  const Fd client = dial(port_);
  ASSERT_TRUE(eventually([&] { return counters().dials == 1; }));
  serve({server.port});
  const Fd peer = server.accept_one();
  ASSERT_TRUE(peer.valid());
  EXPECT_FALSE(wait_for(client, POLLIN, 1500)) << "its new backend was never removed";
  EXPECT_EQ(counters().drain_resets, 0u);
}

// With the network of the test cut, so that nothing is acknowledged any more, and no reset comes.
class ChecklistCut : public OwnNetwork, public DataPathTest {
 protected:
  void SetUp() override {
    DataPathTest::SetUp();
    if (!made()) GTEST_SKIP() << "needs the right to make a network namespace";
  }
};

TEST_F(ChecklistCut, KK_a_node_that_dies_with_bytes_on_their_way_is_noticed) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  ASSERT_TRUE(peer.valid());
  fill(client);
  cut();
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 400 && counters().dead_peers == 0; ++i) pause_ms(100);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  std::cout << "noticed after " << took.count() << " s\n";
  EXPECT_EQ(counters().dead_peers, 1u);
  EXPECT_EQ(counters().resets_from_backend, 1u);
  std::vector<PortTotals> all;
  on_control([&] { all = path_->totals(); });
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].ended[size_t(EndReason::kDeadPeer)], 1u);
}

TEST_F(Checklist, KK_silence_alone_is_asked_about_by_keepalive) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  EXPECT_EQ(option(relay_clients(port_).at(0), SOL_SOCKET, SO_KEEPALIVE), 1) << "inherited";
  const int backend = relay_backends(server.port).at(0);
  for (int i = 0; i < 80 && option(backend, SOL_SOCKET, SO_KEEPALIVE) != 1; ++i) pause_ms(100);
  EXPECT_EQ(option(backend, SOL_SOCKET, SO_KEEPALIVE), 1) << "once it is older than five seconds";
  EXPECT_EQ(option(backend, IPPROTO_TCP, TCP_KEEPIDLE), 60);
  EXPECT_EQ(option(backend, IPPROTO_TCP, TCP_KEEPCNT), 4);
}

TEST_F(Checklist, LL_what_was_saved_is_served_again_without_a_controller) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("empalme-ll-" + std::to_string(getpid()));
  Server server;
  DesiredState state{{1, 7}, {{"file/web", {*IpAddress::parse("127.0.0.1")}, {}, {}}}};
  ServicePort& listener = state.services.edit(0).ports.emplace_back();
  listener.port = port_;
  Backend& backend = listener.backends.emplace_back();
  backend.address = *IpAddress::parse("127.0.0.1");
  backend.port = server.port;
  {
    auto store = dataplane::StateStore::open({.folder = folder, .report = [](const Error&) {}});
    ASSERT_TRUE(store.ok());
    store.value()->save(std::make_shared<DesiredState>(state));
    store.value()->stop();
  }
  auto store = dataplane::StateStore::open({.folder = folder, .report = [](const Error&) {}});
  ASSERT_TRUE(store.ok());
  const auto saved = store.value()->load();
  ASSERT_TRUE(saved.has_value());
  EXPECT_TRUE(apply(*saved).empty());
  const Fd client = dial(port_);
  EXPECT_TRUE(server.accept_one().valid());
  store.value()->stop();
  std::filesystem::remove_all(folder);
}

TEST(ChecklistEngine, MM_a_listener_that_is_passed_on_brings_its_queue_along) {
  signal(SIGPIPE, SIG_IGN);
  Server server;
  const uint16_t port = free_port();
  const Endpoint at{*IpAddress::parse("127.0.0.1"), port};
  std::vector<Fd> clients;
  std::array<int, 2> ends{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
  const Fd near(ends[0]), far(ends[1]);
  {
    const Fd old = std::move(open_listener(at, false)).value();
    for (int i = 0; i < 50; ++i) clients.push_back(dial(port));
    const int passed = old.get();
    ASSERT_TRUE(handoff::send_batch(near.get(), {&passed, 1}).ok());
  }  // the old process is gone
  auto received = handoff::receive_batch(far.get(), 1);
  ASSERT_TRUE(received.ok() && received.value().has_value());
  HandDriven hand(port, server.port);
  hand.engine.add_listener(std::move(received.value()->at(0)), hand.config);
  ASSERT_TRUE(hand.poll_until([&] { return hand.engine.sessions() == 50; }));
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(server.accept_one().valid()) << i;
}

TEST_F(Checklist, NN_a_removed_address_takes_nobody_new_and_lets_sessions_finish) {
  Server server;
  policy_.delete_drain_s = 60;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  apply({{1, 99}, {}});
  EXPECT_FALSE(dial(port_).valid()) << "the kernel refuses";
  write_all(peer.get(), "last words");
  shutdown(peer.get(), SHUT_WR);
  EXPECT_EQ(read_all(client.get()), "last words");
  shutdown(client.get(), SHUT_WR);
  EXPECT_TRUE(eventually([&] { return counters().active == 0; }));
  EXPECT_EQ(counters().drain_resets, 0u);
}

// The time is shown, not judged: a machine under load may be slow.
TEST_F(Checklist, OO_with_nobody_left_the_answer_is_a_reset_before_anything_else) {
  serve({free_port(), free_port()});
  double longest = 0;
  for (int i = 0; i < 10; ++i) {
    const auto began = std::chrono::steady_clock::now();
    EXPECT_TRUE(is_reset(dial(port_))) << "not an end without a word";
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - began;
    longest = std::max(longest, took.count());
  }
  std::cout << "reset after " << longest << " ms at most\n";
  EXPECT_EQ(counters().no_backend, 10u);
  EXPECT_EQ(counters().connect_timeouts, 0u) << "nobody was waited for";
}

}  // namespace
}  // namespace lb::proxy
