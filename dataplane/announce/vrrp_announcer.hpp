// The announcer for several data planes that share addresses: keepalived elects who holds each
// virtual router (VRRPv3, RFC 9568), this class tells it what there is and watches it.
//
// Lives on the control thread. keepalived adds and removes the addresses; we shorten their life to
// 5 s and renew it each second while the router is ours, so that they vanish even when keepalived
// and this process are killed together. When keepalived alone dies, its addresses are removed at
// once and it is started again. The packet filter stands on every data plane, whoever holds what.
//
// When another process of this machine takes over from us, the two keepalived run side by side for
// a while. They do not hear each other, so the new one becomes master of what the old one is master
// of; then the old one is killed without a word. No router is given up, and no address leaves the
// interface: those that are there the new one is told of only when it is their master. Should the
// new process end in that while, the addresses are given up.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/net/asio.hpp"
#include "dataplane/announce/announcer.hpp"
#include "dataplane/announce/found_addresses.hpp"
#include "dataplane/announce/keepalived.hpp"
#include "dataplane/announce/link_layer.hpp"
#include "dataplane/announce/successor.hpp"
#include "dataplane/announce/vrrp_peers.hpp"
#include "dataplane/announce/vrrp_plan.hpp"

namespace lb::announce {

// Since start; each has a metric.
struct VrrpCounters {
  uint64_t starts = 0, start_failures = 0, silent_starts = 0, deaths = 0, reloads = 0,
           transitions = 0;
  uint64_t begin_failures = 0, leftovers_removed = 0, peer_errors = 0, write_failures = 0;
  uint64_t late_takeovers = 0, successors_lost = 0;
};

struct VrrpOptions {
  VrrpFlags flags;
  VrrpFiles files;
  IpAddress self;
  std::vector<std::string> command;  // of keepalived, without the file
  unsigned valid_seconds = 5;
  std::chrono::milliseconds renew{1'000};
  bool wait_for_begin = false;  // another process of this machine has keepalived now
  // How long both run, on top of the time that it takes to become master.
  std::chrono::milliseconds overlap{2'000};
  std::chrono::milliseconds whole_overlap() const {
    return overlap + std::chrono::milliseconds(4 * flags.advert_ms);
  }
  // The packet filter; may be empty. The callback comes on the control thread once it is in force.
  std::function<void(const std::vector<Vip>&, std::function<void()>)> set_filter;
  std::function<void(const Error&)> report;
  std::function<void(unsigned router, RouterState)> on_transition;
  std::function<void(const std::string&)> on_line;  // of keepalived's log
};

class VrrpAnnouncer : public Announcer {
 public:
  // Makes the folder; begins unless it has to wait. `link` is the interface of the flags.
  static Result<std::unique_ptr<VrrpAnnouncer>> open(asio::io_context& io,
                                                     std::unique_ptr<LinkLayer> link,
                                                     VrrpOptions options);
  ~VrrpAnnouncer() override;

  void set(std::vector<Vip> wanted, std::function<void(Failures)> done) override;
  void expect(std::set<IpAddress> addresses) override;
  // Those that this data plane takes part in, whoever holds them now.
  std::set<IpAddress> announced() const override;
  Failures failures() const override { return {}; }
  AnnounceCounters counters() const override { return counters_; }
  void stop() override;
  void leave(std::function<void()> gone) override;

  // After `wait_for_begin`: the files are ours now, and keepalived is started. What fails is
  // counted and tried again every `renew`, for the process before us leaves all the same.
  Status begin();
  // Gives every router up, for good: what ends first at SIGTERM.
  void give_up();

  void count_filter_failure() { ++counters_.filter_failures; }
  VrrpCounters vrrp_counters() const;
  pid_t keepalived_pid() const { return keepalived_.pid(); }
  const std::vector<RouterState>& routers() const { return states_; }
  size_t addresses_held() const;

 private:
  VrrpAnnouncer(asio::io_context& io, std::unique_ptr<LinkLayer> link, VrrpOptions options);

  Status open_events();
  void begin_later();
  void find_addresses();
  Result<std::set<IpAddress>> present_addresses();
  void settle_found();
  void in_force(uint64_t filter);
  void apply();
  void tick_later();
  void write_tracks();
  int fitness(unsigned router) const;
  bool write_config();
  bool write_file(const std::string& path, const std::string& text);
  void read_events();
  void read_all_events();
  void take_events();
  void take_events_and_go_on();
  void take(const VrrpEvent& event);
  void end();
  void left();
  void successor_lost();
  void keepalived_died();
  void remove_present(const std::function<bool(const IpAddress&)>& chosen);
  void tick();
  void renew(std::optional<unsigned> router);
  bool held(const IpAddress& address) const;

  const std::unique_ptr<LinkLayer> link_;
  const VrrpOptions options_;
  Keepalived keepalived_;
  asio::posix::stream_descriptor events_;
  asio::streambuf unread_{65'536};
  asio::steady_timer timer_;
  std::vector<RouterState> states_;
  std::vector<Vip> wanted_;
  std::set<IpAddress> expected_;
  FoundAddresses found_;
  VrrpPeers peers_;
  Successor successor_;
  std::function<void()> gone_;  // while leaving
  std::string config_;          // as written
  std::map<unsigned, int> tracks_;
  AnnounceCounters counters_;
  VrrpCounters vrrp_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  // Told to the filter, not in force yet: who asked, by number. Kept here and not with the filter,
  // whose thread must not be the last to let go of it.
  std::map<uint64_t, std::function<void(Failures)>> filters_pending_;
  uint64_t filters_asked_ = 0;
  bool files_are_ours_ = false;  // from begin() until we leave
  bool unwritten_ = false;       // what was to be applied may not have been, for want of memory
  bool giving_up_ = false;
  bool leaving_ = false;
  bool stopped_ = false;
};

}  // namespace lb::announce
