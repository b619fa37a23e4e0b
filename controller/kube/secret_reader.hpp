// Reads the Secrets that it is told of, each by its name, again and again.
//
// One by one and not by watching: whoever may read Secrets by name only (`resourceNames`) needs one
// watch for each of them, and a watch costs the API server a connection. A thread of its own;
// `on_answers` is called there. A new name is read at once; a Secret that was read, after `period`;
// one that was not, after `retry`, doubled up to `period`. Names that are due are read in turn,
// namespace by namespace, so that none waits for long behind those of others. Never throws; nothing
// of a Secret is ever logged.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "controller/kube/backoff.hpp"
#include "controller/kube/http_client.hpp"
#include "controller/kube/secret.hpp"

namespace lb::kube {

// "SecretNotFound", "SecretForbidden"; "SecretUnreadable": nobody answers, or nonsense.
struct SecretAnswer {
  SecretName name;
  Result<SecretData> data;
};

struct SecretReaderCounters {
  std::atomic<uint64_t> reads{0}, failures{0};
};

class SecretReader {
 public:
  using Answers = std::vector<SecretAnswer>;

  struct Options {
    HttpClientFactory make_client;
    std::function<void()> on_unauthorized = {};
    std::function<void(Answers)> on_answers;
    std::chrono::milliseconds period{30'000};
    std::chrono::milliseconds retry{2'000};
  };

  explicit SecretReader(Options options) : options_(std::move(options)) {}
  ~SecretReader();
  SecretReader(const SecretReader&) = delete;
  SecretReader& operator=(const SecretReader&) = delete;

  void start();
  // Idempotent.
  void stop();
  // These, and no others, from now on; any thread.
  void follow(const std::set<SecretName>& names);

  const SecretReaderCounters& counters() const { return counters_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Turn {
    Clock::time_point due;
    Backoff retry;
  };

  void run();
  bool stopping();
  std::vector<SecretName> next();
  SecretAnswer read(const SecretName& name);
  void plan_next(const SecretAnswer& answer);
  HttpClient& client();

  const Options options_;
  SecretReaderCounters counters_;
  std::mt19937_64 random_{std::random_device{}()};

  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<SecretName, Turn> turns_;  // guarded by mutex_, as are the next two
  std::unique_ptr<HttpClient> client_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace lb::kube
