// Turns a desired state into one configuration for each listener, and keeps what outlives
// configurations: the records of backends and the counts of listeners.
//
// Control thread only. Does not throw; what cannot be served becomes a Failure.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/model/state.hpp"
#include "dataplane/proxy/data_path.hpp"
#include "dataplane/proxy/listener_config.hpp"

namespace lb::proxy {

struct PlannedListener {
  std::string key;  // of the service that it belongs to
  std::shared_ptr<const ListenerConfig> config;
};
using PlannedListeners = std::map<ListenerId, PlannedListener>;

class ListenerPlanner {
 public:
  // `zone` is ours: backends there are near. Empty: nobody is.
  explicit ListenerPlanner(size_t workers, std::string zone = {})
      : workers_(workers), zone_(std::move(zone)) {}

  // `now_ms` of the steady clock: who comes into service beside others starts slowly from then.
  PlannedListeners plan(const DesiredState& state, std::vector<Failure>& failed, uint64_t now_ms);

  // Takes effect with the next plan().
  void set_drains(std::set<Drain> drains) { drains_ = std::move(drains); }

  // Null: no listener uses it.
  std::shared_ptr<BackendRecord> find(const BackendId& id) const;

  // Has dials not leave from one of `ours` (addresses that we announce), where the kernel would
  // choose it: the answers would come to another node once the address has moved.
  void avoid_sources(const std::set<IpAddress>& ours);

 private:
  using CountsKey = std::pair<std::string, ListenerId>;

  std::shared_ptr<const ListenerConfig> config(const Service& service, const ServicePort& port,
                                               const ListenerId& id, uint64_t now_ms);
  std::shared_ptr<BackendRecord> record(const BackendId& key);
  std::shared_ptr<ListenerCounts> counts(const CountsKey& key);

  const size_t workers_;
  const std::string zone_;
  std::set<Drain> drains_;
  uint64_t plans_ = 0;
  std::map<BackendId, std::weak_ptr<BackendRecord>> records_;
  std::map<CountsKey, std::weak_ptr<ListenerCounts>> counts_;
};

Failure listener_failure(const std::string& key, const ListenerId& id, const Error& error);

}  // namespace lb::proxy
