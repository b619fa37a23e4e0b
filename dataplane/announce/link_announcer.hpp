// The announcer for one interface: probe, add, announce, renew, withdraw.
//
// Lives on the control thread. An address is held for 5 s at a time and renewed each second, so the
// kernel drops it soon after this process dies. The packet filter stands before an address is
// added. A conflict is asked about again every 30 s, what else failed each second; when the
// carrier returns or the hardware address changes, every address is announced again.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "common/net/asio.hpp"
#include "dataplane/announce/announcer.hpp"
#include "dataplane/announce/link_layer.hpp"

namespace lb::announce {

struct LinkAnnouncerOptions {
  unsigned valid_seconds = 5;
  std::chrono::milliseconds renew{1'000};
  std::chrono::milliseconds probe_gap{100};
  unsigned probes = 3;
  unsigned announcements = 3;          // one with each renewal
  unsigned conflict_retry_ticks = 30;  // renewals between two questions about a conflict
  // The packet filter; may be empty. The callback comes on the control thread once it is in force.
  std::function<void(const std::vector<Vip>&, std::function<void()>)> set_filter;
  std::function<void(const Error&)> report;  // once for each new trouble
  std::function<void()> on_change;           // an address came or failed outside a set()
};

class LinkAnnouncer : public Announcer {
 public:
  LinkAnnouncer(asio::io_context& io, std::unique_ptr<LinkLayer> link,
                LinkAnnouncerOptions options);
  ~LinkAnnouncer() override;

  void set(std::vector<Vip> wanted, std::function<void(Failures)> done) override;
  std::set<IpAddress> announced() const override;
  Failures failures() const override;
  AnnounceCounters counters() const override { return counters_; }
  void stop() override;
  void leave(std::function<void()> gone) override;

  void count_filter_failure() { ++counters_.filter_failures; }

 private:
  enum class State { kNew, kProbing, kGuarding, kUp, kFailed };
  using Owners = std::map<IpAddress, Ownership>;
  struct Held {
    State state = State::kNew;
    unsigned probes_left = 0;
    unsigned announcements_left = 0;
    unsigned retry_in = 0;  // ticks
    Error error;
  };

  void begin_all(const std::vector<IpAddress>& addresses);
  void begin(const IpAddress& address, Held& held, const Result<Owners>& owners);
  void ask();
  void probe_or_give_up();
  void probe();
  void probe_later();
  void take(Held& held);
  void guarded();
  void put_up(const IpAddress& address, Held& held);
  void announce_again();
  void tell_change();
  void fail(const IpAddress& address, Held& held, Error error, unsigned retry_in);
  void claimed(const Claim& claim);
  bool settled() const;
  void finish();
  void renew();
  void renew_later();
  void withdraw(const IpAddress& address, const Held& held);
  void guard();
  void tell_filter(const std::vector<Vip>& ours);
  void end();

  asio::io_context& io_;
  const std::unique_ptr<LinkLayer> link_;
  const LinkAnnouncerOptions options_;
  asio::steady_timer probe_timer_;
  asio::steady_timer renew_timer_;
  std::map<IpAddress, Held> held_;
  std::vector<Vip> wanted_;
  std::vector<Vip> guarded_;  // what the filter was last told
  std::function<void(Failures)> done_;
  AnnounceCounters counters_;
  std::optional<LinkState> link_state_;  // as last seen
  unsigned guards_pending_ = 0;          // rulesets that are not in force yet
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool probing_ = false;
  bool renewing_ = false;
  bool stopped_ = false;
};

}  // namespace lb::announce
