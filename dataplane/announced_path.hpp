// A byte path whose addresses are announced: listeners first, then the address; and in reverse.
//
// Only what is open is announced, and only its ports are let through the packet filter.
// Owned and called by the control thread, like the parts it joins. An address stays announced until
// the last connection on it is over, since a reset that leaves after its address is gone is never
// sent. Loopback and wildcard addresses are nobody's to announce and are left alone.
#pragma once

#include <memory>
#include <vector>

#include "common/net/asio.hpp"
#include "dataplane/announce/announcer.hpp"
#include "dataplane/forwarding_path.hpp"

namespace lb::dataplane {

class AnnouncedPath : public ForwardingPath {
 public:
  AnnouncedPath(asio::io_context& io, std::unique_ptr<proxy::DataPath> path,
                std::unique_ptr<announce::Announcer> announcer);

  void apply(std::shared_ptr<const DesiredState> state,
             std::function<void(std::vector<Failure>)> done) override;
  std::vector<proxy::ServiceStatus> status() const override;
  std::vector<Failure> failures() const override;
  void stop() override;

  // Another process announces from now on: addresses and filter are left as they are.
  void leave(std::function<void()> gone);

  // The path has opened or lost a listener outside an apply().
  void path_changed();

  announce::AnnounceCounters announce_counters() const { return announcer_->counters(); }
  std::set<IpAddress> announced() const { return announcer_->announced(); }

 private:
  std::vector<announce::Vip> vips() const;
  void announce(std::function<void()> done);
  void add_unannounced(std::vector<Failure>& out) const;
  void withdraw_later();

  std::unique_ptr<announce::Announcer> announcer_;
  std::shared_ptr<const DesiredState> state_;
  std::vector<announce::Vip> asked_;
  asio::steady_timer tick_;
  bool left_ = false;
  bool applying_ = false;  // a change is under way, and its set() must not be superseded
};

}  // namespace lb::dataplane
