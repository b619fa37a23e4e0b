// Finds out by a connection of our own when an ejected backend may be used again.
//
// Lives on the io_context it is given and keeps itself alive until the backend is back, or nobody
// serves it any more. A client's connection never is the test. However many backends are ejected,
// the last descriptors are left alone: a try for which there is none is put off, and counted.
#pragma once

#include <atomic>
#include <climits>
#include <cstdint>
#include <functional>
#include <memory>

#include "common/net/asio.hpp"
#include "dataplane/proxy/listener_config.hpp"

namespace lb::proxy {

class Readmission : public std::enable_shared_from_this<Readmission> {
 public:
  struct Options {
    std::chrono::milliseconds pause;    // before each try
    std::chrono::milliseconds timeout;  // of one try
    std::function<void()> readmitted;   // on the io_context's thread
  };

  // What all of an io_context share. Of its thread, but for `put_off`.
  struct Shared {
    int descriptor_line = INT_MAX;  // numbers from here on are not for tries
    unsigned most_at_once = UINT_MAX;
    unsigned under_way = 0;
    std::atomic<uint64_t> put_off{0};
  };

  // `shared` outlives the io_context.
  static void begin(asio::io_context& io, Shared& shared,
                    const std::shared_ptr<BackendRecord>& backend, Options options);

  // Use begin().
  Readmission(asio::io_context& io, Shared& shared, const std::shared_ptr<BackendRecord>& backend,
              Options options);
  ~Readmission();

 private:
  void wait();
  void put_off();
  bool open();
  void connect();
  void answered(bool good);

  Shared& shared_;
  std::weak_ptr<BackendRecord> backend_;
  const Endpoint endpoint_;
  const Options options_;
  asio::ip::tcp::socket socket_;
  asio::steady_timer timer_;
  bool trying_ = false;
};

}  // namespace lb::proxy
