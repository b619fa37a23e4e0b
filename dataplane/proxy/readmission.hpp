// Finds out by a connection of our own when an ejected backend may be used again.
//
// Lives on the io_context it is given and keeps itself alive until the backend is back, or nobody
// serves it any more. A client's connection never is the test. However many backends are ejected,
// the last descriptors are left alone: a try for which there is none is put off, and counted. So
// is one beyond those that may be made at once; services take turns then (fair_turns.hpp), and
// no try takes longer than kLongestTry, so no service keeps another's backends out.
#pragma once

#include <atomic>
#include <climits>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/net/asio.hpp"
#include "common/net/fair_turns.hpp"
#include "dataplane/proxy/listener_config.hpp"

namespace lb::proxy {

class Readmission : public std::enable_shared_from_this<Readmission> {
 public:
  // A lost SYN is sent again after a second.
  static constexpr std::chrono::milliseconds kLongestTry{1500};

  struct Options {
    std::string service;                // whose turn a try is
    std::chrono::milliseconds pause;    // before each try
    std::chrono::milliseconds timeout;  // of one try, up to kLongestTry
    std::function<void()> readmitted;   // on the io_context's thread
  };

  // What all of an io_context share. Of its thread, but for `put_off`.
  struct Shared {
    int descriptor_line = INT_MAX;  // numbers from here on are not for tries
    unsigned most_at_once = UINT_MAX;
    unsigned under_way = 0;
    std::atomic<uint64_t> put_off{0};
    net::FairTurns<Readmission*> turns = {};
  };

  // `shared` outlives the io_context; let_go() comes before the io_context's end.
  static void begin(asio::io_context& io, Shared& shared,
                    const std::shared_ptr<BackendRecord>& backend, Options options);

  // Forgets those that wait for their turn.
  static void let_go(Shared& shared);

  // Use begin().
  Readmission(asio::io_context& io, Shared& shared, const std::shared_ptr<BackendRecord>& backend,
              Options options);
  ~Readmission();

 private:
  static void serve(Shared& shared);
  void wait();
  void put_off();
  void line_up();
  void take_turn();
  bool open();
  void connect();
  void answered(bool good);
  void go_on(bool good);
  void leave_turn();

  Shared& shared_;
  std::weak_ptr<BackendRecord> backend_;
  const Endpoint endpoint_;
  const Options options_;
  asio::ip::tcp::socket socket_;
  asio::steady_timer timer_;
  net::FairTurns<Readmission*>::Turn turn_;
  std::shared_ptr<Readmission> in_line_;  // itself, while nothing else holds it
};

}  // namespace lb::proxy
