// Finds out by a connection of our own when an ejected backend may be used again.
//
// Lives on the io_context it is given and keeps itself alive until the backend is back, or nobody
// serves it any more. A client's connection never is the test.
#pragma once

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

  static void begin(asio::io_context& io, const std::shared_ptr<BackendRecord>& backend,
                    Options options);

  // Use begin().
  Readmission(asio::io_context& io, const std::shared_ptr<BackendRecord>& backend, Options options);

 private:
  void wait();
  void connect();
  void answered(bool good);

  std::weak_ptr<BackendRecord> backend_;
  const Endpoint endpoint_;
  const Options options_;
  asio::ip::tcp::socket socket_;
  asio::steady_timer timer_;
  bool over_ = false;  // this try
};

}  // namespace lb::proxy
