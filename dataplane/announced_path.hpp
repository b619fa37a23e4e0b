// A byte path whose addresses are announced: listeners first, then the address; and in reverse.
//
// Only what is open is announced, and only its ports are let through the packet filter.
// Owned and called by the control thread, like the parts it joins. An address stays announced until
// the last connection on it is over, since a reset that leaves after its address is gone is never
// sent; and while the kernel still sends what closed connections left, five seconds at most.
// Loopback and wildcard addresses are nobody's to announce and are left alone. Dials leave from no
// address that is announced, from before it is until after. What want of memory has interrupted is
// put right by the next change, or as soon as listeners are looked at again.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "common/net/asio.hpp"
#include "dataplane/announce/announcer.hpp"
#include "dataplane/announce/undelivered.hpp"
#include "dataplane/forwarding_path.hpp"

namespace lb::dataplane {

class AnnouncedPath : public ForwardingPath {
 public:
  // Which of these addresses closed connections still need; see undelivered.hpp.
  using Undelivered = std::function<std::set<IpAddress>(const std::set<IpAddress>&)>;

  // For a client to take what was sent before the end; whom the relay closes has as long.
  static constexpr std::chrono::seconds kPatience{5};

  AnnouncedPath(asio::io_context& io, std::unique_ptr<proxy::DataPath> path,
                std::unique_ptr<announce::Announcer> announcer,
                Undelivered undelivered = announce::undelivered,
                std::chrono::milliseconds patience = kPatience);

  void apply(std::shared_ptr<const DesiredState> state,
             std::function<void(std::vector<Failure>)> done) override;
  std::vector<proxy::ServiceStatus> status() const override;
  std::vector<proxy::ServiceStatus> status_of(const std::set<std::string>& keys) const override;
  std::vector<Failure> failures() const override;
  void stop() override;

  // Another process announces from now on: addresses and filter are left as they are.
  void leave(std::function<void()> gone);

  // The path has opened or lost a listener outside an apply().
  void path_changed();

  announce::AnnounceCounters announce_counters() const { return announcer_->counters(); }
  std::set<IpAddress> announced() const { return announcer_->announced(); }

 private:
  std::vector<proxy::ServiceStatus> as_announced(std::vector<proxy::ServiceStatus> out) const;
  std::vector<announce::Vip> vips();
  std::set<IpAddress> still_sending(const std::set<IpAddress>& leaving);
  std::set<IpAddress> ours() const;
  void avoid(std::set<IpAddress> ours);
  void announce(std::function<void()> done);
  void add_unannounced(std::vector<Failure>& out) const;
  void withdraw_later();
  void look_for_lingering();
  // A change is under way, and its set() must not be superseded.
  bool applying() const;

  std::unique_ptr<announce::Announcer> announcer_;
  std::shared_ptr<const DesiredState> state_;
  std::optional<std::vector<announce::Vip>> asked_;  // unset: not known to the announcer
  std::set<IpAddress> avoided_;                      // by dials
  const Undelivered undelivered_;
  const std::chrono::milliseconds patience_;
  // Addresses that nothing but the kernel's queues needs, and until when they may stay for that.
  std::map<IpAddress, std::chrono::steady_clock::time_point> leaving_;
  asio::steady_timer tick_;
  bool left_ = false;
  std::weak_ptr<bool> change_;  // under way while true; gone where it was lost on its way
};

}  // namespace lb::dataplane
