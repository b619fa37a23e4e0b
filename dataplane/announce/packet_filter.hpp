// The packet filter that keeps a VIP from exposing the node: what is sent to an address of ours on
// a port that is not listed is rejected before kube-proxy can translate it (nftables, nft(8)).
//
// render() is pure. PacketFilter runs the nft program on a thread of its own, so its owner never
// waits; of several rulesets only the last is applied. A failure is told and counted, announcing
// goes on without the filter, and it is tried again every few seconds, as when somebody else has
// flushed it; nft that hangs is ended after five seconds. Want of memory is counted, and what it
// has interrupted begun again after a tenth of a second: until then nothing is called in force. At
// the end that is tried for a second.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/model/result.hpp"
#include "dataplane/announce/announcer.hpp"

namespace lb::announce {

// The whole ruleset, replacing what was there in one transaction; without VIPs it takes the table
// away.
std::string render(const std::vector<Vip>& vips);

class PacketFilter {
 public:
  using Failed = std::function<void(Error)>;  // on the filter's thread
  // Runs nft with these words and that input; what it has printed, or error "Filter".
  using Nft =
      std::function<Result<std::string>(const std::vector<std::string>&, const std::string&)>;

  explicit PacketFilter(Failed failed, Nft nft = run_nft);
  ~PacketFilter();
  PacketFilter(const PacketFilter&) = delete;
  PacketFilter& operator=(const PacketFilter&) = delete;

  // `done` is called on the filter's thread once this ruleset, or a later one, is in force or has
  // failed; again, should it throw std::bad_alloc. Throws that itself, and then nothing is changed.
  void set(const std::vector<Vip>& vips, std::function<void()> done = {});
  // Takes the table away and ends the thread. Idempotent.
  void stop();
  // Ends the thread and leaves the table to another process. What was set last may not be in force.
  void leave();

  uint64_t memory_wants() const { return memory_wants_; }

 private:
  enum class Ending { kNone, kClear, kLeave };

  static Result<std::string> run_nft(const std::vector<std::string>& words,
                                     const std::string& input);
  void run();
  void end(Ending how);
  Ending await_turn();
  bool take_turn(const std::string& target);
  void enforce(const std::string& target);
  bool table_is_there() const;
  void tell(const Status& outcome);
  void answer();

  const Failed failed_;
  const Nft nft_;
  const std::string nothing_ = render({});
  std::mutex mutex_;
  std::condition_variable wake_;
  std::optional<std::string> next_;  // guarded by mutex_, as are the next two
  std::list<std::function<void()>> waiting_;
  Ending ending_ = Ending::kNone;
  // Of the thread. A table may be left from a process that was killed.
  std::string wanted_ = nothing_;
  std::string in_force_ = "unknown";
  std::list<std::function<void()>> told_next_;
  bool in_want_ = false;   // of memory, in the last turn
  std::string complaint_;  // told already
  std::atomic<uint64_t> memory_wants_{0};
  std::thread thread_;
};

}  // namespace lb::announce
