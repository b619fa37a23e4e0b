// A byte path that hands every call on to the one it wraps: the base of those that change some.
//
// Owned and called by the control thread, like what it owns.
#pragma once

#include <memory>
#include <utility>

#include "dataplane/proxy/data_path.hpp"

namespace lb::dataplane {

class ForwardingPath : public proxy::DataPath {
 public:
  explicit ForwardingPath(std::unique_ptr<proxy::DataPath> path) : path_(std::move(path)) {}

  void apply(std::shared_ptr<const DesiredState> state,
             std::function<void(std::vector<Failure>)> done) override {
    path_->apply(std::move(state), std::move(done));
  }
  std::vector<proxy::ServiceStatus> status() const override { return path_->status(); }
  std::vector<proxy::ServiceStatus> status_of(const std::set<std::string>& keys) const override {
    return path_->status_of(keys);
  }
  proxy::DataPathCounters counters() const override { return path_->counters(); }
  std::vector<Failure> failures() const override { return path_->failures(); }
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
  std::set<IpAddress> addresses_in_use() const override { return path_->addresses_in_use(); }
  void drain(unsigned grace_ms, std::function<void()> done) override {
    path_->drain(grace_ms, std::move(done));
  }
  void stop() override { path_->stop(); }

 protected:
  proxy::DataPath& path() { return *path_; }
  const proxy::DataPath& path() const { return *path_; }

 private:
  std::unique_ptr<proxy::DataPath> path_;
};

}  // namespace lb::dataplane
