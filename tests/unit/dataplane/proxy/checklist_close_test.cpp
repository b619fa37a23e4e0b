// Lines (a) to (g) of the checklist: how each end of a connection reaches the other side.
#include "tests/unit/dataplane/proxy/checklist_support.hpp"
#include "tests/unit/dataplane/proxy/engine_fixture.hpp"

namespace lb::proxy {
namespace {

TEST_F(Checklist, A_a_fin_of_one_side_leaves_the_other_way_open) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(read_all(peer.get()), "");
  for (int i = 0; i < 3; ++i) {
    write_all(peer.get(), "still answering");
    char text[15];
    ASSERT_EQ(recv(client.get(), text, sizeof text, MSG_WAITALL), 15) << i;
  }
  EXPECT_EQ(counters().active, 1u) << "half closed is not closed";
  shutdown(peer.get(), SHUT_WR);
  EXPECT_EQ(read_all(client.get()), "");
  EXPECT_TRUE(eventually([&] { return counters().closed == 1; }));
}

TEST_F(Checklist, A_the_timer_of_half_closed_starts_with_either_sides_fin) {
  for (const bool client_first : {true, false}) {
    Server server;
    policy_.half_closed_timeout_s = 1;
    serve({server.port});
    const uint64_t before = counters().idle_timeouts;
    const Fd client = dial(port_);
    const Fd peer = server.accept_one();
    shutdown((client_first ? client : peer).get(), SHUT_WR);
    EXPECT_EQ(read_all((client_first ? peer : client).get()), "");
    EXPECT_TRUE(eventually([&] { return counters().idle_timeouts == before + 1; }))
        << (client_first ? "client first" : "backend first");
    EXPECT_TRUE(eventually([&] { return counters().active == 0; }));
  }
}

TEST_F(Checklist, B_a_fin_comes_after_every_byte_that_was_sent_before_it) {
  Server server;
  serve({server.port});
  const Fd client = dial_narrow(port_);
  const Fd peer = server.accept_one();
  const std::string answer = numbered(5'000'000);
  std::thread writer([&] {
    write_all(peer.get(), answer);
    shutdown(peer.get(), SHUT_WR);
  });
  const Received got = receive_all(client, 100'000, 1);
  writer.join();
  EXPECT_EQ(got.error, 0) << "a FIN, not a reset";
  EXPECT_TRUE(got.bytes == answer) << got.bytes.size();
}

// Between the reset and the last byte lie more than the five seconds that a reader which takes
// nothing is given: what counts is that it takes something.
TEST_F(Checklist, C_a_slow_reader_gets_all_that_was_acknowledged_before_the_reset) {
  Server server;
  serve({server.port});
  const Fd client = dial_narrow(port_);
  Fd peer = server.accept_one();
  const std::string answer = numbered(1'000'000);
  write_all(peer.get(), answer);
  ASSERT_TRUE(eventually([&] { return unacknowledged(peer) == 0; }));
  reset(peer);
  ASSERT_TRUE(eventually([&] { return counters().resets_from_backend == 1; }));
  const auto began = std::chrono::steady_clock::now();
  const Received got = receive_all(client, 20'000, 100);
  EXPECT_GT(std::chrono::steady_clock::now() - began, std::chrono::seconds(6));
  EXPECT_TRUE(got.bytes == answer) << got.bytes.size();
  EXPECT_EQ(got.error, ECONNRESET) << "and then the reset, not a FIN";
}

TEST_F(Checklist, C_a_reader_that_takes_nothing_does_not_keep_a_reset_session) {
  Server server;
  serve({server.port});
  const Fd client = dial_narrow(port_);
  Fd peer = server.accept_one();
  fill(peer);
  reset(peer);
  ASSERT_TRUE(eventually([&] { return counters().resets_from_backend == 1; }));
  EXPECT_EQ(counters().active, 1u) << "it is given some time";
  for (int i = 0; i < 80 && counters().active != 0; ++i) pause_ms(100);
  EXPECT_EQ(counters().active, 0u) << "but not more than a few seconds";
}

TEST_F(Checklist, C_a_clients_reset_follows_its_last_bytes_to_the_backend) {
  Server server;
  serve({server.port});
  Fd client = dial(port_);
  const Fd peer = server.accept_one();
  const std::string request = numbered(300'000);
  write_all(client.get(), request);
  ASSERT_TRUE(eventually([&] { return unacknowledged(client) == 0; }));
  reset(client);
  const Received got = receive_all(peer, 20'000, 2);
  EXPECT_TRUE(got.bytes == request) << got.bytes.size();
  EXPECT_EQ(got.error, ECONNRESET);
}

// More of this: last_words_test.cpp.
TEST_F(Checklist, C_what_a_backend_said_and_reset_before_its_connect_was_seen_arrives) {
  Server server;
  Engine engine;
  engine.serve({server.port});
  const Fd client = engine.dial();
  ASSERT_TRUE(engine.works_until([&] { return has_input(server.fd); }));
  Fd peer = moved_up(server.accept_one());
  write_all(peer.get(), "421 too many");
  reset(peer);
  engine.work();
  const Received got = receive_all(client);
  EXPECT_EQ(got.bytes, "421 too many");
  EXPECT_EQ(got.error, ECONNRESET);
}

TEST_F(Checklist, D_a_reset_after_the_same_sides_fin_still_reaches_the_other_side) {
  for (const bool client_dies : {true, false}) {
    Server server;
    serve({server.port});
    Fd client = dial(port_);
    Fd peer = server.accept_one();
    Fd& dying = client_dies ? client : peer;
    Fd& other = client_dies ? peer : client;
    shutdown(dying.get(), SHUT_WR);
    EXPECT_EQ(read_all(other.get()), "");
    reset(dying);
    // Reading would give the FIN again and again: only what the socket reports shows the reset.
    EXPECT_TRUE(wait_for(other, 0)) << client_dies;
    EXPECT_EQ(option(other.get(), SOL_SOCKET, SO_ERROR), EPIPE) << "a reset behind a FIN";
    EXPECT_TRUE(eventually([&] { return counters().active == 0; }));
  }
  EXPECT_EQ(counters().resets_from_client, 1u);
  EXPECT_EQ(counters().resets_from_backend, 1u);
}

TEST_F(Checklist, D_a_reset_from_the_side_that_still_speaks_reaches_the_one_that_has_ended) {
  for (const bool client_dies : {true, false}) {
    Server server;
    serve({server.port});
    Fd client = dial(port_);
    Fd peer = server.accept_one();
    Fd& dying = client_dies ? client : peer;
    Fd& other = client_dies ? peer : client;
    shutdown(other.get(), SHUT_WR);
    EXPECT_EQ(read_all(dying.get()), "");
    write_all(dying.get(), "half an answer");
    ASSERT_TRUE(eventually([&] { return unacknowledged(dying) == 0; }));
    reset(dying);
    const Received got = receive_all(other);
    EXPECT_EQ(got.bytes, "half an answer");
    EXPECT_EQ(got.error, ECONNRESET) << "nginx and HAProxy say a FIN here: " << client_dies;
  }
}

TEST_F(Checklist, E_a_server_that_closes_with_input_unread_still_gets_its_words_through) {
  Server server;
  serve({server.port});
  for (int i = 0; i < 50; ++i) {
    const Fd client = dial(port_);
    Fd peer = server.accept_one();
    write_all(client.get(), std::string(1000, 'u'));
    ASSERT_TRUE(wait_for(peer, POLLIN));
    write_all(peer.get(), "BYE");
    peer.reset();  // with a thousand bytes unread: its kernel sends a reset behind the BYE
    const Received got = receive_all(client);
    EXPECT_EQ(got.bytes, "BYE") << i;
    EXPECT_EQ(got.error, ECONNRESET) << i;
  }
}

TEST_F(Checklist, E_our_own_close_never_resets_what_is_still_being_delivered) {
  Server server;
  policy_.half_close = false;
  serve({server.port});
  const std::string answer = numbered(1'000'000);
  for (int i = 0; i < 5; ++i) {
    const Fd client = dial_narrow(port_);
    Fd peer = server.accept_one();
    std::thread writer([&] {
      write_all(peer.get(), answer);
      shutdown(peer.get(), SHUT_WR);
    });
    std::thread talker([&] {  // input that nobody takes any more, all through the end
      for (int word = 0; word < 50; ++word) {
        send(client.get(), "and another thing", 17, MSG_NOSIGNAL | MSG_DONTWAIT);
        pause_ms(1);
      }
    });
    const Received got = receive_all(client, 30'000, 1);
    talker.join();
    writer.join();
    EXPECT_TRUE(got.bytes == answer) << got.bytes.size();
    EXPECT_EQ(got.error, 0);
  }
}

// Both halves of the backend's socket are shut, which epoll reports as a hang-up, while most of
// what it said waits in our kernel.
TEST_F(Checklist, F_a_hang_up_with_data_behind_it_loses_none_of_it) {
  Server server;
  serve({server.port});
  const Fd client = dial_narrow(port_);
  Fd peer = server.accept_one();
  shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(read_all(peer.get()), "");
  const std::string answer = numbered(400'000);
  write_all(peer.get(), answer);
  peer.reset();
  pause_ms(50);
  const Received got = receive_all(client, 10'000, 1);
  EXPECT_TRUE(got.bytes == answer) << got.bytes.size();
  EXPECT_EQ(got.error, 0);
}

TEST_F(Checklist, G_a_reader_that_stalls_before_the_others_fin_is_ended_by_the_timer) {
  Server server;
  policy_.half_closed_timeout_s = 1;
  serve({server.port});
  const Fd client = dial_narrow(port_);
  const Fd peer = server.accept_one();
  write_all(peer.get(), std::string(3'000'000, 's'));
  shutdown(peer.get(), SHUT_WR);
  ASSERT_TRUE(eventually([&] { return unacknowledged(peer) == 0; })) << "the FIN is with us";
  EXPECT_TRUE(eventually([&] { return counters().idle_timeouts == 1; }))
      << "the FIN waits behind bytes that nobody takes";
  EXPECT_TRUE(eventually([&] { return counters().active == 0; }));
}

TEST_F(Checklist, G_no_timeout_of_the_kernel_kills_a_peer_that_reads_slowly) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  ASSERT_EQ(relay_clients(port_).size(), 1u);
  EXPECT_EQ(option(relay_clients(port_)[0], IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
  ASSERT_EQ(relay_backends(server.port).size(), 1u);
  EXPECT_EQ(option(relay_backends(server.port)[0], IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
}

}  // namespace
}  // namespace lb::proxy
