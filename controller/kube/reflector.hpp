// Keeps up with one resource of the Kubernetes API: list, then watch, for ever.
//
// A thread of its own, which calls the sink. Nothing ends it but stop(): refused connections are
// retried within 2 s, refusals by the server within 30 s (Retry-After is honoured), a resource
// version that is too old (410, as status or as event) leads to a new list, whose gaps are the
// deletions that were missed. With `watch_list` what is there comes as the beginning of the watch
// (KEP-3157), and a list is asked for only where the server refuses that. Follows the API concepts
// page on watches and bookmarks.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/model/result.hpp"
#include "controller/kube/backoff.hpp"
#include "controller/kube/http_client.hpp"
#include "controller/kube/item.hpp"

namespace lb::kube {

// Called on the reflector's thread.
class ReflectorSink {
 public:
  virtual ~ReflectorSink() = default;
  virtual void replaced(std::vector<Item> all) = 0;  // a whole list
  virtual void changed(Item item) = 0;
  virtual void removed(std::string ns, std::string name) = 0;
  // An error when the resource cannot be followed for now; nullopt when it can again.
  virtual void connection(std::optional<Error> trouble) = 0;
};

struct ReflectorCounters {
  std::atomic<uint64_t> lists{0}, watches{0}, events{0}, errors{0}, gone{0}, bad_events{0};
  std::atomic<uint64_t> watch_lists{0};  // that were whole
};

class Reflector {
 public:
  struct Options {
    std::string path;  // "/api/v1/services"
    HttpClientFactory make_client;
    std::function<void()> on_unauthorized;  // before the next try: credentials may have rotated
    // Waits; true when stop() came meanwhile. Tests replace it.
    std::function<bool(std::chrono::milliseconds)> wait = {};
    bool watch_list = false;  // try it first
  };

  Reflector(Options options, ReflectorSink& sink);
  ~Reflector();
  Reflector(const Reflector&) = delete;
  Reflector& operator=(const Reflector&) = delete;

  void start();
  // Ends the call under way and joins. Idempotent.
  void stop();

  const std::string& path() const { return options_.path; }
  const ReflectorCounters& counters() const { return counters_; }

 private:
  enum class Next { kWatchList, kList, kWatch };
  using Name = std::pair<std::string, std::string>;
  // What one stream has said of itself.
  struct Stream {
    bool expired = false;
    std::optional<Error> error = {};
    // What is there so far, while the beginning of a WatchList lasts.
    std::optional<std::map<Name, Item>> gathered = {};
  };

  void run();
  bool list();
  Next watch(bool from_the_start);
  Next ended(const Stream& stream, const Result<net::HttpResponse>& answer,
             std::chrono::steady_clock::duration lasted, bool silent);
  bool handle(const std::string& line, Stream& stream);
  void apply(const std::string& type, nlohmann::json& object, Stream& stream);
  void fine();
  void whole(Stream& stream);
  void trouble(const Error& error);
  void refused(const net::HttpResponse& response);
  bool pause(Backoff& backoff, std::chrono::milliseconds at_least = {});
  bool wait(std::chrono::milliseconds time);
  std::string watch_target(bool from_the_start);
  Next first() const { return options_.watch_list ? Next::kWatchList : Next::kList; }
  double random();
  HttpClient& client();

  const Options options_;
  ReflectorSink& sink_;
  ReflectorCounters counters_;
  Backoff unreachable_{std::chrono::milliseconds(100), std::chrono::milliseconds(2'000)};
  Backoff refusals_{std::chrono::milliseconds(500), std::chrono::milliseconds(30'000)};
  std::string version_;
  bool troubled_ = false;
  std::mt19937_64 random_{std::random_device{}()};

  std::mutex mutex_;
  std::condition_variable wake_;
  std::unique_ptr<HttpClient> client_;  // guarded by mutex_ against stop()
  bool stopping_ = false;               // guarded by mutex_
  std::thread thread_;
};

}  // namespace lb::kube
