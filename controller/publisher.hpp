// Brings one data plane to the desired state and keeps it there.
//
// Lives on the io_context's thread. Reads what is held before it first writes; changes are gathered
// for 20 ms and one request is in flight. A patch goes when the data plane is known to hold what
// was acknowledged last, the whole state otherwise; a patch costs what has changed, not what there
// is. A second connection waits for news (status long poll, ten a second at most): another instance
// or another pair there leads to a whole state. The epoch is that of the leadership, or the held
// one + 1 where there is none; a higher one held by the data plane means that somebody else
// publishes: this one stops and says so, until restart() gives it a higher one. Certificates that
// what is wanted names go ahead of it, see certificate_courier.hpp.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/model/state.hpp"
#include "common/net/asio.hpp"
#include "common/net/http_client.hpp"
#include "controller/apply_times.hpp"
#include "controller/certificate_courier.hpp"
#include "controller/core/plan.hpp"
#include "controller/kube/backoff.hpp"

namespace lb::controller {

struct DataplaneStatus {
  std::string instance;
  std::string rev;
  std::set<std::string> features;
  Version version;
  std::vector<Failure> failed;
  std::map<std::string, plan::HealthView> health;  // of the services that are told of
  std::set<std::string> removed;
};

// What is to be published, by key; owned by whoever owns the publishers, and shared by them.
using WantedServices = std::map<std::string, plan::ServicePtr>;

class Publisher;
struct Refusal;

class PublisherObserver {
 public:
  virtual ~PublisherObserver() = default;
  // First contact: what the data plane holds, before anything of ours.
  virtual void held(Publisher& by, const DesiredState& state) = 0;
  // Every worker of the data plane has applied what is wanted under these keys.
  virtual void acknowledged(Publisher& by, const std::set<std::string>& keys,
                            const std::vector<Failure>& failed) = 0;
  virtual void status(Publisher& by, const DataplaneStatus& status) = 0;
  virtual void reached(Publisher& by) = 0;  // reach() has changed
  virtual void certificates(Publisher&) {}  // refused_certificates() has changed
  virtual void superseded(Publisher& by, uint64_t held_epoch) = 0;
};

struct PublisherCounters {
  uint64_t puts = 0, patches = 0, acknowledged = 0, conflicts = 0, refused = 0, errors = 0;
  // Whole states for one that began anew, and for one that holds another pair than it acknowledged.
  uint64_t repairs_restarted = 0, repairs_differing = 0;
};

class Publisher {
 public:
  struct Options {
    std::chrono::milliseconds coalesce{20};
    std::chrono::milliseconds request_timeout{30'000};
    std::chrono::seconds poll{4};               // how long the data plane may wait for news
    std::chrono::milliseconds poll_pause{100};  // at least, from one question for news to the next
    std::chrono::seconds silent_after{8};       // longer than a poll takes
    std::chrono::seconds lost_after{60};
    std::chrono::seconds offer_again{30};           // a certificate that was refused
    std::chrono::milliseconds repair_pause{1'000};  // at least, between two for another pair
  };
  struct Target {
    std::string name;  // for logs and metrics
    net::HttpServerAddress address;
  };

  Publisher(asio::io_context& io, Options options, Target target, const WantedServices& wanted,
            const plan::CertificateBook& book, PublisherObserver& observer);
  // A request under way is given up, and its end finds nobody.
  ~Publisher() { *gone_ = true; }
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // `epoch` is that of a leadership, fixed while it lasts; nullopt: the held one + 1.
  void start(std::optional<uint64_t> epoch = {});
  void restart(uint64_t epoch);
  void stop();

  // What is wanted under this key has changed.
  void touch(const std::string& key);
  // The book says something else.
  void certificates_changed();

  // What the data plane is known to hold under this key; null: nothing.
  plan::ServicePtr held(const std::string& key) const;
  const WantedServices& held() const { return held_; }
  plan::Reach reach() const { return reach_; }
  bool contacted() const { return contacted_; }
  bool superseded() const { return superseded_; }
  const std::string& name() const { return target_.name; }
  const net::SocketAddress& address() const { return target_.address.address; }
  const PublisherCounters& counters() const { return counters_; }
  const CertificateCounters& certificate_counters() const { return courier_.counters(); }
  const plan::CertificateTroubles& refused_certificates() const { return courier_.refused(); }
  const ApplyTimes& times() const { return times_; }
  Version version() const { return version_; }
  // RFC 3339; empty: never.
  const std::string& acknowledged_at() const { return acknowledged_at_; }
  // Empty once something has worked since.
  const std::string& last_error() const { return last_error_; }

 private:
  using Changes = std::vector<std::pair<std::string, plan::ServicePtr>>;

  void read_held();
  void take_over(const net::HttpResponse& response);
  void schedule();
  void wait_and_publish(std::chrono::milliseconds pause);
  void publish();
  void bring_certificates();
  void tidy_certificates();
  void offer_again_in_time();
  void carried(const Status& outcome);
  void put();
  void patch();
  Changes take_changes();
  void send(net::HttpRequest request, Version offered, std::function<std::set<std::string>()> done);
  void answered(const net::HttpResponse& response, Version offered,
                const std::function<std::set<std::string>()>& done);
  std::set<std::string> now_held(const Changes& changes);
  std::set<std::string> now_held(WantedServices all);
  void note_refusal(const Refusal& refusal);
  void conflict(const net::HttpResponse& response);
  void retry_later();
  void poll();
  void poll_in_time();
  void poll_later(std::chrono::milliseconds pause);
  bool polled(const net::HttpResponse& response);
  bool repair(bool restarted);
  void heard();
  void watch_silence();
  void set_reach(plan::Reach reach);
  void note_error(const Error& error);

  asio::io_context& io_;
  const Options options_;
  const Target target_;
  const WantedServices& wanted_;
  PublisherObserver& observer_;
  net::HttpClient writer_;
  net::HttpClient reader_;
  CertificateCourier courier_;  // after writer_, which it uses
  asio::steady_timer send_timer_;
  asio::steady_timer read_timer_;  // of its own: a wait that is replaced never ends
  asio::steady_timer poll_timer_;
  asio::steady_timer silence_timer_;
  kube::Backoff send_backoff_{std::chrono::milliseconds(100), std::chrono::milliseconds(2'000)};
  kube::Backoff poll_backoff_{std::chrono::milliseconds(100), std::chrono::milliseconds(2'000)};
  PublisherCounters counters_;
  ApplyTimes times_;

  WantedServices held_;
  Version version_;              // of what is held
  std::set<Version> overtaken_;  // held since the poll under way was asked, and no more
  std::set<std::string> dirty_;
  std::optional<uint64_t> leadership_;
  uint64_t epoch_ = 0;
  uint64_t generation_ = 0;
  std::string instance_;
  std::string rev_;
  std::string acknowledged_at_;
  std::string last_error_;
  asio::steady_timer::time_point last_heard_{};
  asio::steady_timer::time_point offered_{};                // what was refused, again
  asio::steady_timer::time_point asked_{};                  // the poll under way
  std::optional<asio::steady_timer::time_point> repaired_;  // another pair, with a whole state
  plan::Reach reach_ = plan::Reach::kSilent;
  bool contacted_ = false;
  bool superseded_ = false;
  bool whole_ = true;  // the next change must be a PUT
  bool scheduled_ = false;
  bool in_flight_ = false;
  std::string complaint_;  // the reason that was logged last; empty: it answers
  bool stopped_ = false;
  const std::shared_ptr<bool> gone_ = std::make_shared<bool>(false);
};

}  // namespace lb::controller
