// Takes and keeps a Lease of the cluster, on a thread of its own, and says who leads.
//
// `on_leading(epoch)` when this process begins to lead, `on_leading(nullopt)` when it may no longer
// count on it; both on this thread, never twice the same. The rules are plan::Election's. A request
// has less time than is left to renew, so a server that hangs costs the leadership in time. stop()
// gives the Lease up, so that the next one need not wait. Never throws.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "controller/core/election.hpp"
#include "controller/kube/http_client.hpp"

namespace lb::kube {

struct LeaseCounters {
  std::atomic<uint64_t> renewals{0}, failures{0}, taken{0}, lost{0};
  std::atomic<bool> leading{false};
  std::atomic<uint64_t> transitions{0};
};

class LeaseKeeper {
 public:
  struct Options {
    HttpClientFactory make_client;  // with a timeout of a few seconds: see kLeaseRequest
    std::function<void()> on_unauthorized = {};
    std::string ns;
    std::string name;
    plan::Election::Options election;
    std::function<void(std::optional<uint64_t> epoch)> on_leading;
  };

  explicit LeaseKeeper(Options options);
  ~LeaseKeeper();
  LeaseKeeper(const LeaseKeeper&) = delete;
  LeaseKeeper& operator=(const LeaseKeeper&) = delete;

  void start();
  // Idempotent; `give_up` false leaves the Lease to run out, as a crash would.
  void stop(bool give_up = true);

  // Reads the Lease now, and says on this object's thread whether we still lead. A server that does
  // not answer is asked again, until it does or the leadership has run out.
  void recheck(std::function<void(bool leading)> done);

  const LeaseCounters& counters() const { return counters_; }
  // Who holds it as far as we know; any thread.
  std::string holder() const;
  // The same, but empty where it is ourselves: our own leadership may have ended unseen by others.
  std::string other_holder() const;

 private:
  void run();
  void try_once();
  bool read();
  void write(const plan::LeaseRecord& record, bool resigning);
  void note_failure(const std::string& what);
  void tell();
  enum class Woken : uint8_t { kInTime, kToRecheck, kToStop };
  Woken wait();
  void begin_recheck();
  void answer_rechecks();
  void resign();
  HttpClient& client();
  std::string path() const;

  const Options options_;
  plan::Election election_;
  LeaseCounters counters_;
  std::mt19937_64 random_{std::random_device{}()};
  bool told_leading_ = false;
  bool complained_ = false;
  std::vector<std::function<void(bool)>> rechecks_;  // under way

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::string holder_;  // guarded by mutex_, as are the next four
  std::vector<std::function<void(bool)>> asked_;
  std::unique_ptr<HttpClient> client_;
  bool stopping_ = false;
  bool give_up_ = true;
  std::thread thread_;
};

// Shorter than what is between two renewals and the end of the leadership.
inline constexpr std::chrono::milliseconds kLeaseRequest{4'000};

// The pod's name and something random: whoever restarts is somebody else.
std::string lease_identity();

}  // namespace lb::kube
