// The clients of a benchmark: as many connections as are asked for, each doing one request after
// the other, and the count of what came back right. One thread.
#pragma once

#include <netinet/in.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/net/fd.hpp"
#include "tests/bench/pattern.hpp"

namespace bench {

enum class Work : uint8_t {
  kConnections,  // connect, one exchange, close
  kExchanges,    // one exchange after the other on a kept connection
  kBulk,         // one endless answer
  kIdle,         // one exchange, then nothing
  kRate,         // exchanges at set times on kept connections, whatever came of those before
};

struct ClientOptions {
  Work work = Work::kConnections;
  uint16_t target_port = 0;
  unsigned connections = 64;
  uint32_t request_bytes = 64;
  uint64_t answer_bytes = 64;
  double rate = 0;  // kRate: exchanges per second over all connections
};

struct ClientCounts {
  uint64_t operations = 0, bytes = 0, errors = 0, corrupt = 0;
  uint64_t late = 0;  // kRate: begun more than a millisecond after their time
  std::array<uint64_t, 3> by_backend{};
};

class ClientSide {
 public:
  ClientSide(int epoll, ClientOptions options, const Pattern& pattern);

  void start();
  bool owns(int fd) const { return connections_.contains(fd); }
  void on_event(int fd);
  // kRate: begins every exchange whose time has come. To be called all the time.
  void send_due();
  const ClientCounts& counts() const { return counts_; }
  // Connections that have had their first exchange.
  size_t settled() const { return settled_; }
  void close_all() { connections_.clear(); }

 private:
  using Clock = std::chrono::steady_clock;

  struct Connection {
    lb::net::Fd fd;
    std::string request;
    size_t sent = 0;
    uint64_t tag = 0;
    AnswerHead head;
    size_t head_got = 0;
    uint64_t body_got = 0;
    bool settled = false;
    bool resting = false;                   // kRate: nothing is under way
    std::deque<Clock::time_point> waiting;  // kRate: times of exchanges that could not begin yet
  };

  void open();
  bool begin_waiting(Connection& connection);
  void progress(int fd);
  void reopen(int fd, bool failed);
  void begin(Connection& connection);
  bool write_request(Connection& connection);
  bool read_answer(Connection& connection, bool& whole);
  void finish(Connection& connection);

  const int epoll_;
  const ClientOptions options_;
  const Pattern& pattern_;
  sockaddr_in target_{};
  std::vector<char> buffer_ = std::vector<char>(Pattern::kWindow);
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
  std::vector<int> turn_;  // kRate: whose exchange is next
  const Clock::time_point began_ = Clock::now();
  uint64_t scheduled_ = 0;
  ClientCounts counts_;
  uint64_t next_tag_ = 1;
  size_t settled_ = 0;
};

}  // namespace bench
