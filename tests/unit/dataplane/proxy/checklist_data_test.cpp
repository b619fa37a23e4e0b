// Lines (w) to (ff) of the checklist: bytes arrive, in order, soon, and without memory per idle
// connection.
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <random>

#include "tests/unit/dataplane/proxy/checklist_support.hpp"
#include "tests/unit/dataplane/proxy/counting_new.hpp"

namespace lb::proxy {
namespace {

// So that both directions have moved something.
void ping_pong(const Fd& client, const Fd& peer) {
  char text[1];
  ASSERT_EQ(send(client.get(), "?", 1, MSG_NOSIGNAL), 1);
  ASSERT_EQ(recv(peer.get(), text, 1, MSG_WAITALL), 1);
  ASSERT_EQ(send(peer.get(), "!", 1, MSG_NOSIGNAL), 1);
  ASSERT_EQ(recv(client.get(), text, 1, MSG_WAITALL), 1);
}

TEST_F(Checklist, W_small_messages_are_not_gathered_on_either_side) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  ASSERT_EQ(relay_clients(port_).size(), 1u);
  ASSERT_EQ(relay_backends(server.port).size(), 1u);
  EXPECT_EQ(option(relay_clients(port_)[0], IPPROTO_TCP, TCP_NODELAY), 1) << "inherited";
  ping_pong(client, peer);
  ping_pong(client, peer);
  EXPECT_EQ(option(relay_backends(server.port)[0], IPPROTO_TCP, TCP_NODELAY), 1)
      << "before the second write, the first that could be held back";
}

// Without it, a server that speaks first would learn 200 ms late that it is connected.
TEST_F(Checklist, X_the_backends_handshake_is_acknowledged_at_once) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  ASSERT_EQ(relay_backends(server.port).size(), 1u);
  EXPECT_EQ(option(relay_backends(server.port)[0], IPPROTO_TCP, TCP_QUICKACK), 1);
}

TEST_F(Checklist, Y_a_reader_that_stalls_stops_the_reading_not_the_bytes) {
  Server server;
  serve({server.port});
  const Fd client = dial_narrow(port_);
  const Fd peer = server.accept_one();
  const std::string answer = numbered(size_t{48} << 20);
  std::thread writer([&] {
    write_all(peer.get(), answer);
    shutdown(peer.get(), SHUT_WR);
  });
  uint64_t before = 0, moved = 1;
  for (int i = 0; i < 50 && moved != before; ++i) {
    before = moved;
    pause_ms(100);
    moved = counters().bytes_out;
  }
  EXPECT_EQ(moved, before) << "nothing is read while nobody takes it";
  EXPECT_LT(moved, answer.size());
  EXPECT_TRUE(receive_all(client).bytes == answer);
  writer.join();
}

size_t pipe_ends() {
  size_t count = 0;
  for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // another thread has closed it since
    const auto what = std::filesystem::read_symlink(each.path(), gone);
    if (!gone && what.string().starts_with("pipe:")) ++count;
  }
  return count;
}

TEST_F(Checklist, Y_idle_connections_hold_no_pipe) {
  Server server;
  serve({server.port});
  const size_t before = pipe_ends();
  const std::string much(4 << 20, 'm');
  std::vector<Fd> clients, peers;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(dial(port_));
    peers.push_back(server.accept_one());
    std::thread writer([&] { write_all(peers.back().get(), much); });
    std::string got(much.size(), '\0');
    EXPECT_EQ(recv(clients.back().get(), got.data(), got.size(), MSG_WAITALL), ssize_t(got.size()));
    writer.join();
  }
  EXPECT_GT(counters().splice_bytes, 0u);
  EXPECT_LE(pipe_ends() - before, 4u) << "one for each worker, lent from one to the next";
}

// What one stalled client may cost: what both kernels' buffers take by their own limits.
TEST_F(Checklist, Z_a_stalled_client_is_bounded_by_the_limits_of_the_kernel) {
  Server server;
  serve({server.port});
  const Fd client = dial_narrow(port_);
  const Fd peer = server.accept_one();
  const size_t sent = fill(peer);
  size_t allowed = size_t{1} << 20;
  for (const char* name : {"tcp_rmem", "tcp_wmem"}) {
    std::ifstream file(std::string("/proc/sys/net/ipv4/") + name);
    size_t least = 0, usual = 0, most = 0;
    file >> least >> usual >> most;
    allowed += 2 * most;
  }
  RecordProperty("absorbed_bytes", std::to_string(sent));
  EXPECT_LT(sent, allowed);
  EXPECT_EQ(option(relay_clients(port_).at(0), IPPROTO_TCP, TCP_NOTSENT_LOWAT), 0)
      << "see CHECKLIST.md for why not";
}

// The byte itself is dropped, as by most programs that know nothing of it; see tcp(7).
void sprinkle(const Fd& from, const std::string& text, size_t step) {
  for (size_t at = 0; at < text.size(); at += step) {
    write_all(from.get(), text.substr(at, step));
    ASSERT_EQ(send(from.get(), "!", 1, MSG_OOB | MSG_NOSIGNAL), 1);
  }
  shutdown(from.get(), SHUT_WR);
}

TEST_F(Checklist, AA_urgent_bytes_amid_much_data_neither_stop_nor_reorder_it) {
  for (const size_t step : {size_t{1000}, size_t{3} << 20}) {
    for (const bool upwards : {true, false}) {
      Server server;
      serve({server.port});
      const Fd client = dial(port_);
      const Fd peer = server.accept_one();
      const std::string text = numbered(step * 4);
      std::thread writer([&] { sprinkle(upwards ? client : peer, text, step); });
      Received got = receive_all(upwards ? peer : client);
      EXPECT_EQ(got.error, 0) << "step " << step << ", upwards " << upwards;
      if (got.error != 0) shutdown((upwards ? client : peer).get(), SHUT_RDWR);
      writer.join();
      std::erase(got.bytes, '!');
      EXPECT_TRUE(got.bytes == text) << got.bytes.size() << " of " << text.size();
    }
  }
}

// splice(2) does not get past the mark by itself: it says that there is nothing, or that it is
// over.
TEST_F(Checklist, AA_an_urgent_byte_is_passed_over_while_splicing) {
  Server server;
  serve({server.port});
  const Fd client = dial_narrow(port_);
  const Fd peer = server.accept_one();
  const std::string half = numbered(5'000'000);
  std::thread writer([&] {
    write_all(peer.get(), half);
    send(peer.get(), "!", 1, MSG_OOB | MSG_NOSIGNAL);
    write_all(peer.get(), half);
    shutdown(peer.get(), SHUT_WR);
  });
  Received got = receive_all(client, 100'000, 1);
  if (got.error != 0) shutdown(client.get(), SHUT_RDWR);
  writer.join();
  EXPECT_EQ(got.error, 0);
  EXPECT_GT(counters().splice_bytes, 0u);
  std::erase(got.bytes, '!');
  EXPECT_TRUE(got.bytes == half + half) << got.bytes.size();
}

void on_signal(int) {}

TEST_F(Checklist, BB_signals_that_interrupt_calls_lose_nothing) {
  struct sigaction action {};
  action.sa_handler = on_signal;  // without SA_RESTART
  sigaction(SIGUSR1, &action, nullptr);
  // The relay's threads run already: only those of the test are spared.
  sigset_t spared;
  sigemptyset(&spared);
  sigaddset(&spared, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &spared, nullptr);
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  const std::string text = numbered(20'000'000);
  std::atomic<bool> over{false};
  std::thread writer([&] {
    write_all(client.get(), text);
    shutdown(client.get(), SHUT_WR);
  });
  std::thread storm([&] {
    while (!over) {
      for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        syscall(SYS_tgkill, getpid(), std::stoi(task.path().filename()), SIGUSR1);
      }
      pause_ms(1);
    }
  });
  const Received got = receive_all(peer);
  over = true;
  storm.join();
  writer.join();
  EXPECT_EQ(got.error, 0);
  EXPECT_TRUE(got.bytes == text);
}

void send_in_random_pieces(const Fd& to, const std::string& text, uint64_t seed) {
  std::mt19937_64 random(seed);
  for (size_t at = 0; at < text.size();) {
    const size_t piece = random() % 10 == 0 ? random() % 300'000 : random() % 3'000;
    const size_t size = std::min(text.size() - at, piece);
    write_all(to.get(), text.substr(at, size));
    at += size;
  }
  shutdown(to.get(), SHUT_WR);
}

// The soak (./test soak) does this for as long as one likes.
TEST_F(Checklist, CC_both_directions_at_once_are_exact_in_pieces_of_any_size) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  const std::string up = numbered(size_t{32} << 20), down(up.rbegin(), up.rend());
  std::thread uploads([&] { send_in_random_pieces(client, up, seed); });
  std::thread downloads([&] { send_in_random_pieces(peer, down, seed + 1); });
  Received at_server;
  std::thread reader([&] { at_server = receive_all(peer, 50'000); });
  const Received at_client = receive_all(client, 50'000);
  for (std::thread* each : {&uploads, &downloads, &reader}) each->join();
  EXPECT_TRUE(at_server.bytes == up) << at_server.bytes.size();
  EXPECT_TRUE(at_client.bytes == down) << at_client.bytes.size();
  EXPECT_EQ(at_server.error + at_client.error, 0);
}

// A tenth of what the line asks for, so that it ends soon; behaviours has it beside the peers.
TEST_F(Checklist, DD_a_hundred_thousand_writes_of_one_byte_arrive) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  const int on = 1;
  setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const std::string text = numbered(100'000);
  std::thread writer([&] {
    for (const char each : text) {
      if (send(client.get(), &each, 1, MSG_NOSIGNAL) != 1) return;
    }
    shutdown(client.get(), SHUT_WR);
  });
  EXPECT_TRUE(receive_all(peer).bytes == text);
  writer.join();
}

TEST_F(Checklist, EE_a_connection_that_moves_much_does_not_starve_its_neighbours) {
  on_control([&] {
    path_ = make_data_path({.workers = 1, .post = [this](std::function<void()> task) {
                              asio::post(control_, std::move(task));
                            }});
  });
  Server server;
  serve({server.port});
  const Fd big = dial(port_);
  const Fd big_peer = server.accept_one();
  const Fd small = dial(port_);
  const Fd small_peer = server.accept_one();
  std::atomic<bool> over{false};
  std::thread writer([&] {
    const std::string block(1 << 20, 'b');
    while (!over && send(big.get(), block.data(), block.size(), MSG_NOSIGNAL) > 0) {
    }
  });
  std::thread reader([&] { read_all(big_peer.get()); });
  uint64_t most = 0;
  for (int i = 0; i < 300; ++i) {
    const uint64_t before = counters().bytes_in;
    ping_pong(small, small_peer);
    most = std::max(most, counters().bytes_in - before);
  }
  over = true;
  shutdown(big.get(), SHUT_RDWR);
  writer.join();
  reader.join();
  RecordProperty("most_bytes_between_two_small_ones", std::to_string(most));
  EXPECT_LT(most, uint64_t{256} << 20)
      << "a few turns of at most 16 MiB, and what a slow test adds";
}

TEST_F(Checklist, FF_bytes_on_an_open_connection_ask_for_no_memory) {
  Server server;
  serve({server.port});
  const Fd client = dial(port_);
  const Fd peer = server.accept_one();
  for (int i = 0; i < 100; ++i) ping_pong(client, peer);
  const uint64_t before = allocations();
  for (int i = 0; i < 1000; ++i) ping_pong(client, peer);
  EXPECT_LE(allocations() - before, 10u) << "of a thousand exchanges";
}

TEST_F(Checklist, FF_a_connection_asks_for_memory_a_few_times_only) {
  Server server;
  policy_.idle_timeout_s = 60;  // so that each is on the wheel
  serve({server.port});
  const auto one = [&] {
    Fd client = dial(port_);
    const Fd peer = server.accept_one();
    ping_pong(client, peer);
    reset(client);
  };
  for (int i = 0; i < 50; ++i) one();
  const uint64_t before = allocations();
  for (int i = 0; i < 200; ++i) one();
  EXPECT_LE(allocations() - before, 200u * 6) << "the session, and little else";
}

}  // namespace
}  // namespace lb::proxy
