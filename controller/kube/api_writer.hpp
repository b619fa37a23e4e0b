// Writes to the Kubernetes API, one after the other, on a thread of its own.
//
// Calls of one key keep their order; a newer write of the same key that still waits replaces the
// older. Connect errors, 401, 429 and 5xx are retried until they pass, are replaced or stop()
// comes, each call after a pause of its own (2 s at most when nobody answers, 30 s when the server
// refuses, or as Retry-After says), so that one that always fails holds up no other. Any other
// answer goes back to whoever asked, on this thread. Never throws.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include "common/model/result.hpp"
#include "controller/kube/backoff.hpp"
#include "controller/kube/http_client.hpp"

namespace lb::kube {

struct ApiCall {
  std::string key;  // what is written; empty: never replaced by a later one
  net::HttpRequest request;
  std::function<void(const net::HttpResponse&)> done = {};
};

struct ApiWriterCounters {
  std::atomic<uint64_t> calls{0}, retries{0}, refused{0}, replaced{0}, dropped{0};
};

class ApiWriter {
 public:
  struct Options {
    HttpClientFactory make_client;
    std::function<void()> on_unauthorized;
    size_t max_queue = 10'000;  // above it, what has no key (events) is dropped and counted
  };

  explicit ApiWriter(Options options);
  ~ApiWriter();
  ApiWriter(const ApiWriter&) = delete;
  ApiWriter& operator=(const ApiWriter&) = delete;

  void start();
  void push(ApiCall call);
  // Drops what waits: whoever leads now writes it anew.
  void clear();
  // What waits is given up. Idempotent.
  void stop();

  const ApiWriterCounters& counters() const { return counters_; }

 private:
  using Clock = std::chrono::steady_clock;
  enum class Outcome : uint8_t { kOver, kNobody, kRefused };

  struct Waiting {
    ApiCall call;
    uint64_t epoch = 0;  // clear() ends one
    Clock::time_point due{};
    Backoff nobody{std::chrono::milliseconds(100), std::chrono::milliseconds(2'000)};
    Backoff refused{std::chrono::milliseconds(250), std::chrono::milliseconds(30'000)};
  };

  void run();
  std::optional<Waiting> next(std::unique_lock<std::mutex>& lock);
  Outcome try_once(const ApiCall& call, std::chrono::milliseconds& asked_for);
  void try_later(Waiting waiting, Outcome outcome, std::chrono::milliseconds asked_for);
  HttpClient& client();

  const Options options_;
  ApiWriterCounters counters_;
  std::mt19937_64 random_{std::random_device{}()};

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Waiting> queue_;  // guarded by mutex_, as are the next three
  uint64_t epoch_ = 0;
  std::unique_ptr<HttpClient> client_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace lb::kube
