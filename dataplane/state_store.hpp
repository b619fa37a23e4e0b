// The saved state on disk: a restart serves at once what was held, before any controller is heard.
//
// Made and called by the control thread; a thread of its own does the writing, at most once a
// second (less often where the state is so large that saving costs much; see pause_after) and at
// stop, so an acknowledgement never waits for the disk. The folder is locked for as
// long as the store lives. Only taking the lock can fail; anything later (a full disk, a corrupt
// file) is reported as an event and counted, since the copy on disk is a hint and not the truth.
// What could not be saved for want of memory is counted too, and tried again after the pause; at
// stop for a second.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/model/result.hpp"
#include "common/model/saved_state.hpp"
#include "common/model/state.hpp"
#include "common/net/fd.hpp"

namespace lb::dataplane {

class StateStore {
 public:
  // Told what went wrong, from either thread; must not call the store.
  using Report = std::function<void(const Error&)>;

  struct Options {
    std::filesystem::path folder;  // made, 0700, when it is missing
    Report report;
    std::chrono::milliseconds interval{1000};  // between two saves
    net::Fd lock = {};  // held already, on this folder's lock file; invalid: is taken here
  };

  // Error "StateDirLocked" when another process holds the folder, "StateDir" when it is unusable.
  static Result<std::unique_ptr<StateStore>> open(Options options);
  ~StateStore();
  StateStore(const StateStore&) = delete;
  StateStore& operator=(const StateStore&) = delete;

  // The saved state; nullopt when there is none or it cannot be used. What this version does not
  // know of it is passed over (saved_state.hpp). A file that is not used, or not all of it, is kept
  // aside as state.json.bad for a person to look at.
  std::optional<DesiredState> load();

  // Until the next save after one that has cost so much CPU: the interval, or longer where saving
  // would otherwise take more than half a percent of a core; a minute at most.
  static std::chrono::nanoseconds pause_after(std::chrono::nanoseconds cost,
                                              std::chrono::nanoseconds interval);

  // Has `state` written soon; of several within one pause only the last is.
  void save(std::shared_ptr<const DesiredState> state);

  // Writes what is still to be written and ends the thread. Idempotent.
  void stop();

  // Ends the thread without writing: the folder is another process's now.
  void abandon();

  // The lock, borrowed; it is never undone, since other processes may have the descriptor too, and
  // ends with the last of these.
  int lock() const { return lock_.get(); }
  static std::filesystem::path lock_file(const std::filesystem::path& folder) {
    return folder / "lock";
  }

  uint64_t saves() const { return saves_.load(std::memory_order_relaxed); }
  uint64_t save_failures() const { return save_failures_.load(std::memory_order_relaxed); }
  uint64_t load_failures() const { return load_failures_.load(std::memory_order_relaxed); }

 private:
  StateStore(Options options, net::Fd lock);

  void run();
  bool write_or_count(const DesiredState& state);
  void write(const DesiredState& state);
  void report(const Error& error) const;
  void tell_passed_over(const SavedState& saved);
  std::filesystem::path file() const { return options_.folder / "state.json"; }
  std::filesystem::path aside() const { return options_.folder / "state.json.bad"; }

  const Options options_;
  const net::Fd lock_;
  std::atomic<uint64_t> saves_{0};
  std::atomic<uint64_t> save_failures_{0};
  std::atomic<uint64_t> load_failures_{0};

  std::mutex mutex_;
  std::condition_variable wake_;
  std::shared_ptr<const DesiredState> next_;  // guarded by mutex_, as is the next one
  bool stopping_ = false;
  bool abandoned_ = false;
  int last_tries_ = 10;  // once it is stopping; of the thread
  std::thread thread_;
};

}  // namespace lb::dataplane
