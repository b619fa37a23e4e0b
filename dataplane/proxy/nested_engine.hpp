// Runs one engine (RelayEngine or UdpRelay) inside an io_context, by its epoll descriptor.
//
// Lives on the worker's thread, as the engine does, and is destroyed after the io_context has
// stopped. Engine needs descriptor(), poll(), tick(), next_tick() and has_queued().
#pragma once

#include <chrono>
#include <new>
#include <thread>

#include "common/net/asio.hpp"

namespace lb::proxy {

template <class Engine>
class NestedEngine {
 public:
  NestedEngine(asio::io_context& io, Engine& engine)
      : io_(io), engine_(engine), epoll_(io, engine.descriptor()), timer_(io) {
    wait_for_events();
  }
  // The engine owns the descriptor.
  ~NestedEngine() { epoll_.release(); }
  NestedEngine(const NestedEngine&) = delete;
  NestedEngine& operator=(const NestedEngine&) = delete;

  // The engine was called from outside: its deadlines may be others, and it may have work queued
  // of which epoll says nothing.
  void touched() {
    keep_ticking();
    if (engine_.has_queued()) go_on();
  }

 private:
  // Batches before timers and posted tasks get their turn.
  static constexpr int kBatchesPerTurn = 64;

  // A wait that is not begun for want of memory would be the end of the engine: it is tried until
  // it works, and traffic goes on meanwhile.
  template <class Step>
  void insist(const Step& step) {
    for (;;) {
      try {
        return step();
      } catch (const std::bad_alloc&) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        engine_.poll();
      }
    }
  }

  void wait_for_events() {
    insist([this] {
      epoll_.async_wait(asio::posix::stream_descriptor::wait_read,
                        [this](const boost::system::error_code& error) {
                          if (!error) on_events();
                        });
    });
  }

  void on_events() {
    bool busy = true;
    for (int batch = 0; batch < kBatchesPerTurn && busy; ++batch) busy = engine_.poll();
    keep_ticking();
    if (!busy) return wait_for_events();
    insist([this] { asio::post(io_, [this] { on_events(); }); });
  }

  void go_on() {
    insist([this] {
      asio::post(io_, [this] {
        engine_.poll();
        touched();
      });
    });
  }

  // A wait that is replaced by an earlier one ends with an error and changes nothing.
  void keep_ticking() {
    const uint64_t next = engine_.next_tick();
    if (next >= ticks_at_) return;
    ticks_at_ = next;
    insist([this, next] {
      timer_.expires_at(std::chrono::steady_clock::time_point(std::chrono::milliseconds(next)));
      timer_.async_wait([this](const boost::system::error_code& error) {
        if (error) return;
        ticks_at_ = UINT64_MAX;
        engine_.tick();
        touched();
      });
    });
  }

  asio::io_context& io_;
  Engine& engine_;
  asio::posix::stream_descriptor epoll_;
  asio::steady_timer timer_;
  uint64_t ticks_at_ = UINT64_MAX;  // what timer_ waits for
};

}  // namespace lb::proxy
