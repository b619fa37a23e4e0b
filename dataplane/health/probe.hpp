// One asynchronous TCP probe with one deadline: connects, lets its kind go on, reports once.
//
// The base of all kinds. Lives on the io_context's thread and keeps itself alive until it has
// reported or is cancelled. Where the check asks for it, a PROXY header that says the connection is
// our own goes first, whatever the kind. Sockets close with a reset (SO_LINGER 0, socket(7)), so
// nothing stays in TIME_WAIT, here or there. Every error becomes a ProbeResult; see
// probe_result.hpp.
#pragma once

#include <chrono>
#include <climits>
#include <functional>
#include <memory>
#include <optional>

#include "common/net/asio.hpp"
#include "dataplane/health/check.hpp"
#include "dataplane/health/probe_result.hpp"
#include "dataplane/health/timer_queue.hpp"

namespace lb::health {

// Where probes live. Both must outlive every probe that has neither reported nor been cancelled.
struct ProbeSetting {
  asio::io_context& io;
  TimerQueue& timers;
  std::optional<IpAddress> source;  // to bind to; used for targets of its family
  int descriptor_line = INT_MAX;    // numbers from here on are not for probes
};

class Probe : public std::enable_shared_from_this<Probe> {
 public:
  using Done = std::function<void(const ProbeResult&)>;

  Probe(const ProbeSetting& setting, const Check& check, Done done);
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;
  virtual ~Probe() = default;

  // Once. `done` is called once, later, never from inside begin().
  void begin();
  // Closes the socket; `done` is not called any more.
  void cancel();

 protected:
  // The connection stands; ends in finish(), at once or later.
  virtual void connected() = 0;

  // The first call counts. The caller touches nothing of the probe afterwards but over().
  void finish(const ProbeResult& result);
  void finish_errno(int error) { finish(result_of_errno(error)); }
  bool over() const { return over_; }
  asio::ip::tcp::socket& socket() { return socket_; }
  const Check& check() const { return check_; }

  // Calls `then` when the socket is ready for `what`, unless the probe is over by then.
  template <class Then>
  void when_ready(asio::socket_base::wait_type what, Then then) {
    socket_.async_wait(what, [self = shared_from_this(), then](const auto& error) {
      if (self->over_) return;
      error ? self->finish_errno(error.value()) : then();
    });
  }

 private:
  int open();
  int bind_source(int fd) const;
  void on_connect();
  bool introduce();
  void on_deadline();
  std::chrono::milliseconds timeout() const;
  void end();

  TimerQueue& timers_;
  const std::optional<IpAddress> source_;
  const int descriptor_line_;
  const Check check_;
  Done done_;
  asio::ip::tcp::socket socket_;
  TimerQueue::Clock::time_point due_{};
  TimerQueue::Id deadline_;
  bool connected_ = false;
  bool over_ = false;
};

}  // namespace lb::health
