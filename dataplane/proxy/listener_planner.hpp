// Turns a desired state into one configuration for each listener, and keeps what outlives
// configurations: the records of backends and the counts of listeners.
//
// Control thread only. What cannot be served becomes a Failure; throws nothing but std::bad_alloc.
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
#include "dataplane/tls/certificate_book.hpp"

namespace lb::proxy {

struct PlannedListener {
  std::string key;  // of the service that it belongs to
  std::shared_ptr<const ListenerConfig> config;
};
using PlannedListeners = std::map<ListenerId, PlannedListener>;

// How many backends were given new connections before, and are not now: gone, drained, not ready.
uint64_t left_service(const ListenerConfig& before, const ListenerConfig& now);

class ListenerPlanner {
 public:
  // `zone` is ours: backends there are near. Empty: nobody is.
  // `certificates` are what ports end TLS with; null: there are none.
  explicit ListenerPlanner(size_t workers, std::string zone = {},
                           std::shared_ptr<tls::CertificateBook> certificates = {})
      : workers_(workers), zone_(std::move(zone)), certificates_(std::move(certificates)) {}

  // Makes `state` (normalised) what is planned, at the cost of what differs from the state before,
  // and says which listeners are planned otherwise than before, or not at all any more. What of the
  // certificates has changed differs too.
  // `now_ms` of the steady clock: who comes into service beside others starts slowly from then.
  std::set<ListenerId> plan(std::shared_ptr<const DesiredState> state, uint64_t now_ms);

  // Has the next plan() look at every listener, whatever has changed. So does a plan() that threw.
  void distrust() { contested_ = true; }

  // All that is planned, and what cannot be served.
  const PlannedListeners& planned() const { return planned_; }
  std::vector<Failure> failures() const;

  // Plans every listener again; the state has to be that of the last plan().
  void set_drains(std::set<Drain> drains, uint64_t now_ms);

  // Null: no listener uses it.
  std::shared_ptr<BackendRecord> find(const BackendId& id) const;

  // How many services, listeners and backends are remembered, former ones too: these are forgotten
  // before they are many beside the others.
  size_t remembered() const { return records_.size() + counts_.size() + plans_.size(); }

  // What all tables of sources that were planned have done.
  const SourceTotals& source_totals() const { return *source_totals_; }

  // Has dials not leave from one of `ours` (addresses that we announce), where the kernel would
  // choose it: the answers would come to another node once the address has moved.
  void avoid_sources(const std::set<IpAddress>& ours);

 private:
  using CountsKey = std::pair<std::string, ListenerId>;
  // Null where TLS does not end, and where backends get plain bytes.
  struct Terms {
    std::shared_ptr<const tls::ServerTls> ending;
    std::shared_ptr<const tls::ClientTls> backend;
  };

  std::set<ListenerId> plan_what_differs(const DesiredState& state);
  bool plan_changed(const DesiredState& state, std::set<ListenerId>& touched);
  void plan_all(const DesiredState& state);
  void begin_plan(const std::string& key);
  std::set<std::string> with_other_certificates(const DesiredState& state) const;
  void note_missing(const std::string& key, const ListenerId& id, const tls::ServerTls* tls);
  Result<Terms> terms(const Service& service, const ServicePort& port);
  bool plan_service(const Service& service);
  void forget(const std::string& key, std::set<ListenerId>& touched);
  void sweep();
  std::shared_ptr<const ListenerConfig> config(const Service& service, const ServicePort& port,
                                               const ListenerId& id, Terms terms);
  std::shared_ptr<BackendRecord> record(const BackendId& key);
  std::shared_ptr<ListenerCounts> counts(const CountsKey& key);
  void take_over_counts(const Service& service, const ListenerId& id);

  const size_t workers_;
  const std::string zone_;
  const std::shared_ptr<tls::CertificateBook> certificates_;
  std::set<std::string> other_certificates_;  // by name, not planned with yet
  std::set<Drain> drains_;
  std::shared_ptr<const DesiredState> state_ = std::make_shared<const DesiredState>();
  PlannedListeners planned_;
  // By key of the service.
  std::map<std::string, std::vector<ListenerId>> listeners_;
  std::map<std::string, std::vector<Failure>> refused_;  // only where something is
  // Until what they share is taken over.
  std::map<std::string, std::vector<std::shared_ptr<const ListenerConfig>>> former_;
  std::map<std::string, uint64_t> plans_;  // how often each service was planned
  uint64_t now_ms_ = 0;
  bool contested_ = false;  // some listener is wanted twice, or what is planned is uncertain
  size_t since_sweep_ = 0;  // services planned
  size_t swept_ = 0;        // what a sweep has left
  std::map<BackendId, std::weak_ptr<BackendRecord>> records_;
  std::map<CountsKey, std::weak_ptr<ListenerCounts>> counts_;
  const std::shared_ptr<SourceTotals> source_totals_ = std::make_shared<SourceTotals>();
};

inline constexpr char kOutOfMemory[] = "OutOfMemory";
// Of a listener that is not served as planned, yet.
Error out_of_memory();
Failure listener_failure(const std::string& key, const ListenerId& id, const Error& error);

}  // namespace lb::proxy
