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
#include "dataplane/proxy/data_path.hpp"

namespace lb::dataplane {

class AnnouncedPath : public proxy::DataPath {
 public:
  AnnouncedPath(asio::io_context& io, std::unique_ptr<proxy::DataPath> path,
                std::unique_ptr<announce::Announcer> announcer);

  void apply(std::shared_ptr<const DesiredState> state,
             std::function<void(std::vector<Failure>)> done) override;
  std::vector<proxy::ServiceStatus> status() const override;
  std::vector<Failure> failures() const override;
  std::set<proxy::ListenerId> listening() const override { return path_->listening(); }
  void set_drains(std::set<proxy::Drain> drains, std::function<void()> done) override {
    path_->set_drains(std::move(drains), std::move(done));
  }
  void flows(proxy::FlowFilter filter,
             std::function<void(std::vector<proxy::Flow>)> done) override {
    path_->flows(std::move(filter), std::move(done));
  }
  void kill(uint64_t id, std::function<void(bool)> done) override {
    path_->kill(id, std::move(done));
  }
  std::vector<proxy::PortTotals> totals() const override { return path_->totals(); }
  void set_health(const proxy::BackendId& backend, proxy::Health health,
                  std::string reason) override {
    path_->set_health(backend, health, std::move(reason));
  }
  void avoid_sources(const std::set<IpAddress>& ours) override { path_->avoid_sources(ours); }
  proxy::DataPathCounters counters() const override { return path_->counters(); }
  std::set<IpAddress> addresses_in_use() const override { return path_->addresses_in_use(); }
  void drain(unsigned grace_ms, std::function<void()> done) override {
    path_->drain(grace_ms, std::move(done));
  }
  void stop() override;

  // Another process announces from now on: addresses and filter are left as they are.
  void leave();

  // The path has opened or lost a listener outside an apply().
  void path_changed();

  announce::AnnounceCounters announce_counters() const { return announcer_->counters(); }
  std::set<IpAddress> announced() const { return announcer_->announced(); }

 private:
  std::vector<announce::Vip> vips() const;
  void announce(std::function<void()> done);
  void add_unannounced(std::vector<Failure>& out) const;
  void withdraw_later();

  std::unique_ptr<proxy::DataPath> path_;
  std::unique_ptr<announce::Announcer> announcer_;
  std::shared_ptr<const DesiredState> state_;
  std::vector<announce::Vip> asked_;
  asio::steady_timer tick_;
  bool left_ = false;
  bool applying_ = false;  // a change is under way, and its set() must not be superseded
};

}  // namespace lb::dataplane
