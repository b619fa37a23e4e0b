// The packet filter that keeps a VIP from exposing the node: what is sent to an address of ours on
// a port that is not listed is rejected before kube-proxy can translate it (nftables, nft(8)).
//
// render() is pure. PacketFilter runs the nft program on a thread of its own, so its owner never
// waits; of several rulesets only the last is applied. A failure is told and counted, and
// announcing goes on without the filter.
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

  void set(const std::vector<Vip>& vips);
  // Takes the table away and ends the thread. Idempotent.
  void stop();

 private:
  void run();

  const Failed failed_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::optional<std::string> next_;  // guarded by mutex_, as is the next one
  bool stopping_ = false;
  bool applied_ = true;  // of the thread: a table may be left from a process that was killed
  std::thread thread_;
};

}  // namespace lb::announce
