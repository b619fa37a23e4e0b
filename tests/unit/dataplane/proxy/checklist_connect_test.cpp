// Lines (h) to (p) of the checklist: how a backend is reached, and what is done when it is not.
#include <poll.h>

#include <algorithm>

#include "common/model/admission.hpp"
#include "dataplane/proxy/sockets.hpp"
#include "tests/unit/dataplane/proxy/checklist_support.hpp"
#include "tests/unit/dataplane/proxy/own_network.hpp"

namespace lb::proxy {
namespace {

// With a network of its own, in which the ports to dial from can be made few.
class ChecklistAlone : public OwnNetwork, public DataPathTest {
 protected:
  void SetUp() override {
    DataPathTest::SetUp();
    if (!made()) GTEST_SKIP() << "needs the right to make a network namespace";
  }
};

// From a port that no dial of the relay would take.
Fd dial_from(uint16_t local, uint16_t port) {
  Fd fd(socket(AF_INET, SOCK_STREAM, 0));
  const timeval limit{5, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  const auto from = loopback(local);
  const auto to = loopback(port);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from), 0);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  return fd;
}

DesiredState state_of(uint16_t port, const std::vector<Endpoint>& backends) {
  DesiredState state{{1, 1}, {{"file/web", {*IpAddress::parse("127.0.0.1")}, {}, {}}}};
  ServicePort& listener = state.services.edit(0).ports.emplace_back();
  listener.port = port;
  for (const Endpoint& each : backends) {
    Backend& backend = listener.backends.emplace_back();
    backend.address = each.address;
    backend.port = each.port;
  }
  return state;
}

TEST_F(Checklist, H_a_refusal_that_comes_later_is_told_by_the_socket_and_counted_as_one) {
  Server server;
  serve({free_port(), server.port});
  for (int i = 0; i < 4; ++i) {
    const Fd client = dial(port_);
    EXPECT_TRUE(server.accept_one().valid());
  }
  EXPECT_GE(counters().connect_refused, 1u);
  EXPECT_EQ(counters().connect_errors, 0u) << "not an error of unknown kind";
  EXPECT_EQ(counters().connect_timeouts, 0u);
}

TEST_F(ChecklistAlone, H_a_failure_that_is_known_at_once_moves_on_too) {
  Server server;
  const Endpoint nowhere{*IpAddress::parse("203.0.113.9"), 80};
  apply(state_of(port_, {nowhere, {*IpAddress::parse("127.0.0.1"), server.port}}));
  for (int i = 0; i < 4; ++i) {
    const Fd client = dial(port_);
    EXPECT_TRUE(server.accept_one().valid()) << i;
  }
  EXPECT_GE(counters().connect_errors, 1u) << "no route";
  EXPECT_EQ(counters().no_backend, 0u);
}

TEST_F(Checklist, I_a_backend_is_dialled_before_the_client_has_said_a_word) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  ASSERT_TRUE(peer.valid()) << "the client has sent nothing";
  write_all(peer.get(), "220 ready\r\n");
  char text[11];
  EXPECT_EQ(recv(client.get(), text, sizeof text, MSG_WAITALL), 11);
}

TEST_F(Checklist, J_a_client_that_leaves_while_we_dial_takes_its_dial_along) {
  const BlackHole hole;
  policy_.connect_timeout_ms = 60'000;
  serve({hole.port});
  const int others = sockets_in_state(hole.port, TCP_SYN_SENT);
  Fd client = dial(port_);
  ASSERT_TRUE(eventually([&] { return sockets_in_state(hole.port, TCP_SYN_SENT) == others + 1; }));
  reset(client);
  EXPECT_TRUE(eventually([&] { return counters().client_gone_while_dialling == 1; }));
  EXPECT_TRUE(eventually([&] { return sockets_in_state(hole.port, TCP_SYN_SENT) == others; }));
  EXPECT_EQ(counters().active, 0u);
}

TEST_F(Checklist, K_a_retry_never_asks_who_has_been_asked) {
  Server server;
  policy_.ejection = {.refused = 0, .timeouts = 0, .seconds = 1};
  serve({free_port(), free_port(), server.port});
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 30; ++i) {
    const Fd client = dial(port_);
    ASSERT_TRUE(server.accept_one().valid()) << "three attempts find the third backend";
  }
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - began;
  RecordProperty("ms_for_30_connects", std::to_string(took.count()));
  EXPECT_EQ(counters().no_backend, 0u);
  EXPECT_LE(counters().retries, 60u) << "two for each at most";
}

TEST_F(Checklist, K_the_attempts_have_an_end) {
  std::vector<uint16_t> dead;
  for (int i = 0; i < 6; ++i) dead.push_back(free_port());
  policy_.connect_attempts = 4;
  policy_.ejection = {.refused = 0, .timeouts = 0, .seconds = 1};
  serve(dead);
  EXPECT_TRUE(is_reset(dial(port_)));
  EXPECT_EQ(counters().dials, 4u);
  EXPECT_EQ(counters().no_backend, 1u);
}

TEST_F(Checklist, L_what_the_client_sends_before_the_connect_waits_in_the_kernel_and_all_arrives) {
  Server server;
  auto hole = std::make_unique<BlackHole>();
  policy_.connect_timeout_ms = 1500;
  serve({hole->port});
  const Fd client = dial_narrow(port_);
  const size_t early = fill(client);
  EXPECT_EQ(counters().copy_bytes + counters().splice_bytes, 0u) << "nothing is read yet";
  EXPECT_LT(early, size_t{64} << 20) << "the kernel says when it is enough";
  serve({hole->port, server.port});
  shutdown(client.get(), SHUT_WR);
  const Fd peer = server.accept_one();
  ASSERT_TRUE(peer.valid()) << "after the timeout of the first dial";
  EXPECT_EQ(receive_all(peer).bytes.size(), early);
}

TEST_F(ChecklistAlone, M_running_out_of_local_ports_is_not_the_backends_fault) {
  Server one, two;
  policy_.ejection = {.refused = 1, .timeouts = 1, .seconds = 60};
  serve({one.port, two.port});
  if (!local_ports(61'000, 61'003)) GTEST_SKIP() << "the range of local ports cannot be set";
  std::vector<Fd> clients, peers;
  for (uint16_t i = 0; i < 8; ++i) clients.push_back(dial_from(uint16_t(20'000 + i), port_));
  for (int i = 0; i < 4; ++i) peers.push_back(one.accept_one());
  for (int i = 0; i < 4; ++i) peers.push_back(two.accept_one());
  EXPECT_TRUE(is_reset(dial_from(20'100, port_))) << "four ports to each, and all are taken";
  EXPECT_GE(counters().no_port, 1u);
  EXPECT_EQ(counters().connect_errors, 0u);
  EXPECT_EQ(counters().ejections, 0u);
  for (const auto& backend : port_status().backends) EXPECT_FALSE(backend.ejected);
  reset(clients[0]);
  ASSERT_TRUE(eventually([&] { return counters().active == 7; }));
  // A pair that was found dry is left alone for a moment.
  uint16_t from = 20'101;
  Fd next;
  EXPECT_TRUE(eventually([&] {
    next = dial_from(from++, port_);
    pollfd either[] = {
        {one.fd.get(), POLLIN, 0}, {two.fd.get(), POLLIN, 0}, {next.get(), POLLIN, 0}};
    return ::poll(either, 3, 5000) > 0 && (either[0].revents | either[1].revents) != 0;
  })) << "a backend is reached again";
}

TEST_F(ChecklistAlone, N_a_source_address_of_our_choice_shares_its_ports_between_backends) {
  Server one, two;
  if (!local_ports(61'000, 61'003)) GTEST_SKIP() << "the range of local ports cannot be set";
  const auto source = IpAddress::parse("127.0.0.2")->to_v4();
  std::vector<Fd> dials;
  for (const uint16_t port : {one.port, two.port}) {
    for (int i = 0; i < 4; ++i) {
      dials.push_back(start_connect({*IpAddress::parse("127.0.0.1"), port}, source));
      EXPECT_TRUE(dials.back().valid()) << "the port is chosen with the far end known";
    }
  }
  EXPECT_EQ(local_endpoint(dials[0].get())->address, *IpAddress::parse("127.0.0.2"));
}

TEST_F(ChecklistAlone, O_ending_what_is_idle_leaves_no_time_wait_of_ours) {
  Server server;
  policy_.idle_timeout_s = 1;
  serve({server.port});
  std::vector<Fd> clients, peers;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(dial(port_));
    peers.push_back(server.accept_one());
  }
  for (const Fd& each : clients) EXPECT_TRUE(is_reset(each));
  for (const Fd& each : peers) EXPECT_TRUE(is_reset(each));
  EXPECT_EQ(counters().idle_timeouts, 10u);
  EXPECT_EQ(sockets_in_state(server.port, TCP_TIME_WAIT), 0);
  EXPECT_EQ(sockets_in_state(port_, TCP_TIME_WAIT), 0);
}

TEST_F(Checklist, P_a_listener_is_never_its_own_backend) {
  Server server;
  const IpAddress local = *IpAddress::parse("127.0.0.1");
  const auto offered = state_of(port_, {{local, port_}, {local, server.port}});
  const Admission admitted = admit(offered, {{}, {local}});
  ASSERT_EQ(admitted.failed.size(), 1u);
  EXPECT_EQ(admitted.failed[0].reason, "AddressRefused");
  apply(admitted.admitted);
  for (int i = 0; i < 4; ++i) {
    const Fd client = dial(port_);
    EXPECT_TRUE(server.accept_one().valid()) << "the other backend serves";
  }
  EXPECT_EQ(counters().accepted, 4u) << "no connection came back to us";
}

}  // namespace
}  // namespace lb::proxy
