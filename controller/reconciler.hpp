// The loop: what sources say goes into the world, the plan says what follows, and it is carried
// out.
//
// Owns the world and its allocator, on the io_context's thread. No service is planned before its
// own source has synced and a data plane was heard once (or all were given up): allocating earlier
// could hand out an address that is in use. A source that is away keeps nobody else waiting.
// Carries out; decides nothing itself.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/net/asio.hpp"
#include "controller/core/joins.hpp"
#include "controller/core/plan.hpp"
#include "controller/core/pool_status.hpp"
#include "controller/fleet.hpp"
#include "controller/service_writes.hpp"
#include "controller/sources/address_pool_source.hpp"
#include "controller/sources/source.hpp"

namespace lb::controller {

struct ReconcilerCounters : ServiceWriteCounters {
  uint64_t plans = 0;
  uint64_t certificates_given_up = 0;  // nobody answered for them within the wait
};

class Reconciler : public sources::SourceSink, public sources::PoolSink, public FleetObserver {
 public:
  struct Options {
    plan::Settings settings;
    std::vector<AddressRange> pools;  // of the flags
    bool await_pools = false;         // Services of a cluster wait for its AddressPools
    std::set<std::string> sources;    // prefixes that are configured
    bool leading = true;              // from the start; false: once lead(true) says so
    // First contact: what the data plane holds, before anything is planned on it.
    std::function<void(const DesiredState&)> on_held = {};
    // Of addresses in no pool; pools have their own.
    std::chrono::seconds quarantine{plan::kDefaultQuarantineS};
    std::chrono::seconds conflict{300};
    // The certificates in Secrets that Services of ours ask for while we lead; what is heard of
    // them comes to certificates(). Empty: none is followed.
    std::function<void(const std::set<std::string>&)> want_secrets = {};
    std::chrono::seconds secret_wait{15};  // for a certificate that is not published yet
    std::chrono::seconds patch_retry{5};   // doubled with each refusal, up to 64 times as long
  };

  // `writer` is null where there is no cluster.
  Reconciler(asio::io_context& io, Options options, kube::ApiWriter* writer);

  void set_fleet(Fleet& fleet) { fleet_ = &fleet; }
  void start();
  void stop();
  // Whoever does not lead follows the sources, and does nothing else. Leading again begins with
  // what statuses and data planes say, as after a restart.
  void lead(bool leading);

  // SourceSink
  void upsert(plan::SourceService service) override;
  void remove(const std::string& key) override;
  void synced(const std::string& prefix, const std::set<std::string>& keys) override;
  void nodes(std::set<IpAddress> addresses) override;
  void freshness(const std::string& source, std::optional<Error> trouble) override;
  void certificates(const std::string& prefix, CertificateNews news) override;
  // PoolSink
  void namespaces(std::map<std::string, plan::Labels> labels) override;
  void pools(std::vector<plan::Pool> all) override;
  // FleetObserver
  void held(const DesiredState& state) override;
  void published(const std::set<std::string>& keys) override;
  void features(std::set<std::string> common) override;
  void failed(std::vector<Failure> all) override;
  void health(const std::set<std::string>& keys) override;
  void unheard(bool any) override;
  void some_lost(bool any) override;
  void lost(bool lost) override;
  void certificates_refused(plan::CertificateTroubles all) override;

  // Every source has synced, and all is planned.
  bool ready() const;
  const plan::World& world() const { return world_; }
  plan::Allocator::Usage usage() const { return allocator_.usage(); }
  ReconcilerCounters counters() const {
    return {writes_.counters(), plans_, certificates_given_up_};
  }
  // Services that wait to be planned; none while somebody else leads.
  size_t pending() const { return dirty_.size(); }
  // What is wrong with those that cannot be followed now, by their names.
  const std::map<std::string, Error>& stale_sources() const { return stale_; }
  const plan::Allocator& allocator() const { return allocator_; }
  std::vector<plan::Problem> problems_of(const std::string& key) const;
  // Of AddressPools; none while others may know better.
  std::map<std::string, plan::PoolStatus> pool_statuses() const;
  // Refusals and degradations by reason, over all services.
  std::map<std::string, uint64_t> problems() const;

 private:
  bool may_plan() const;
  bool source_ready(const std::string& key) const;
  bool guests_synced(const std::string& key) const;
  bool may_plan(const std::string& key) const;
  void plan_new_sources();
  void log_news(const std::string& key, const std::vector<plan::Problem>& problems);
  void touch(const std::string& key);
  void touch_with_hosts(const std::string& key);
  void touch_all();
  void judge_certificates();
  std::set<std::string> secrets_of(const plan::SourceService& service) const;
  void note_secrets(const plan::SourceService& before, const plan::SourceService& now);
  void want_secrets();
  void stop_waiting(const std::string& name);
  void hear_secrets(const CertificateNews& news);
  void schedule();
  void drain();
  void carry_out(const std::string& key, plan::ServicePlan planned);
  void age();
  std::vector<plan::Pool> all_pools() const;
  std::chrono::seconds quarantine_of(const IpAddress& address) const;

  asio::io_context& io_;
  const Options options_;
  ServiceWrites writes_;
  Fleet* fleet_ = nullptr;
  plan::World world_;
  plan::JoinIndex joins_;
  std::optional<std::vector<plan::Pool>> cluster_pools_;  // nullopt: not known yet
  plan::Allocator allocator_;
  uint64_t plans_ = 0;
  uint64_t certificates_given_up_ = 0;
  std::map<std::string, std::set<std::string>> keys_of_source_;
  std::set<std::string> planned_sources_;  // prefixes that were planned whole once
  std::map<std::string, Error> stale_;
  std::map<std::string, plan::CertificateTroubles> certificate_troubles_;  // by source
  plan::CertificateTroubles refused_certificates_;                         // by data planes
  std::optional<std::set<std::string>> wanted_secrets_;  // as told; names of certificates
  std::set<std::string> heard_secrets_;
  std::set<std::string> unread_secrets_;  // waited for, for too long
  std::map<std::string, asio::steady_timer::time_point> awaited_since_;
  bool secrets_changed_ = true;  // other ones may be wanted now
  std::set<std::string> dirty_;
  std::map<std::string, std::vector<plan::Problem>> problems_;
  std::map<IpAddress, asio::steady_timer::time_point> resting_;
  std::map<IpAddress, asio::steady_timer::time_point> conflicting_;
  asio::steady_timer age_timer_;
  bool contacted_ = false;  // a data plane was heard
  bool lost_ = false;       // none is, and none was for long
  bool leading_ = true;
  bool scheduled_ = false;
  bool stopped_ = false;
};

}  // namespace lb::controller
