// The packet filter that keeps a VIP from exposing the node: what is sent to an address of ours on
// a port that is not listed is rejected before kube-proxy can translate it (nftables, nft(8)).
//
// render() is pure. PacketFilter runs the nft program on a thread of its own, so its owner never
// waits; of several rulesets only the last is applied. A failure is told and counted, announcing
// goes on without the filter, and it is tried again every few seconds, as when somebody else has
// flushed it; nft that hangs is ended after five seconds.
#pragma once

#include <condition_variable>
#include <functional>
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

  explicit PacketFilter(Failed failed);
  ~PacketFilter();
  PacketFilter(const PacketFilter&) = delete;
  PacketFilter& operator=(const PacketFilter&) = delete;

  // `done` is called on the filter's thread once this ruleset, or a later one, is in force or has
  // failed.
  void set(const std::vector<Vip>& vips, std::function<void()> done = {});
  // Takes the table away and ends the thread. Idempotent.
  void stop();
  // Ends the thread and leaves the table to another process. What was set last may not be in force.
  void leave();

 private:
  void run();
  void end(std::optional<std::string> last);
  Status apply(const std::string& ruleset);
  void tell(const Status& outcome);

  const Failed failed_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::optional<std::string> next_;  // guarded by mutex_, as are the next two
  std::vector<std::function<void()>> waiting_;
  bool stopping_ = false;
  // Of the thread. A table may be left from a process that was killed.
  std::string in_force_ = "unknown";
  std::string complaint_;  // told already
  std::thread thread_;
};

}  // namespace lb::announce
