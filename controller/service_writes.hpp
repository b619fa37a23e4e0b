// What the plan wants to stand on Services: finalizers, addresses and conditions, and their Events.
//
// On the io_context's thread; the requests themselves are sent by the ApiWriter's. A patch is not
// sent again while it is under way, nor one that was planned on a version which the last patch of
// the same Service has replaced. What the server refuses is planned again: after `retry` for a
// conflict (409), after twice as long each time, up to 64 times `retry`, for anything else; a
// Service that is gone (404) is forgotten. An Event is said once, until its words change. Every
// write and every refusal is counted.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/net/asio.hpp"
#include "controller/core/plan.hpp"
#include "controller/kube/api_writer.hpp"

namespace lb::controller {

struct ServiceWriteCounters {
  uint64_t patches = 0, patch_conflicts = 0, patch_failures = 0, events = 0;
};

class ServiceWrites {
 public:
  using Again = std::function<void(const std::string& key)>;

  // `writer` is null where there is no cluster. `again`: the key has to be planned once more.
  ServiceWrites(asio::io_context& io, kube::ApiWriter* writer, std::chrono::milliseconds retry,
                Again again);

  void stop() { stopped_ = true; }
  // As after a restart; what has not left yet never does.
  void clear();
  // Of a Service that is no longer there.
  void forget(const std::string& key);

  // False when nothing is to be sent, and so nothing to be said: see above.
  bool patch(const std::string& key, const plan::ServicePatch& patch);
  void say(const std::string& key, const plan::KubeMeta& service,
           const std::vector<plan::PlannedEvent>& events);

  const ServiceWriteCounters& counters() const { return counters_; }

 private:
  struct Written {
    std::string base;  // the resource version it was planned on
    plan::ServicePatch patch;
    bool done = false;  // and has made a newer version, which is on its way to us
  };

  void answered(const std::string& key, const net::HttpResponse& response,
                const std::string& passed);
  void refused(const std::string& key, const net::HttpResponse& response);
  std::chrono::milliseconds retry_delay(const std::string& key, int status);
  bool is_news(const std::string& key, const plan::PlannedEvent& event);

  asio::io_context& io_;
  kube::ApiWriter* const writer_;
  const std::chrono::milliseconds retry_;
  const Again again_;
  ServiceWriteCounters counters_;
  std::map<std::string, Written> written_;
  std::map<std::string, unsigned> refusals_;  // of patches of this key, one after the other
  std::map<std::string, std::map<std::string, std::string>> said_;  // key -> reason -> message
  std::string event_prefix_;
  uint64_t event_number_ = 0;
  bool stopped_ = false;
};

}  // namespace lb::controller
