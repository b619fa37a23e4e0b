// A byte path whose backends are checked actively, as the policies ask.
//
// Owned and called by the control thread, like what it wraps. Each change hands the set of checks
// to the prober; equal checks of several services are one probe. A verdict goes to every backend
// that it is about; a backend that is not checked is unknown, which counts as usable.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "common/net/asio.hpp"
#include "dataplane/health/prober.hpp"
#include "dataplane/proxy/data_path.hpp"

namespace lb::dataplane {

class CheckedPath : public proxy::DataPath {
 public:
  // `on_change`: a health is another than before. `descriptor_line`: numbers from here on are not
  // for checks.
  CheckedPath(asio::io_context& io, std::unique_ptr<proxy::DataPath> path,
              std::function<void(const proxy::BackendId&, const health::Verdict&)> on_change,
              int descriptor_line = INT_MAX);

  void apply(std::shared_ptr<const DesiredState> state,
             std::function<void(std::vector<Failure>)> done) override;
  std::vector<proxy::ServiceStatus> status() const override { return path_->status(); }
  std::vector<Failure> failures() const override { return path_->failures(); }
  std::set<proxy::ListenerId> listening() const override { return path_->listening(); }
  proxy::DataPathCounters counters() const override { return path_->counters(); }
  std::set<IpAddress> addresses_in_use() const override { return path_->addresses_in_use(); }
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
  void drain(unsigned grace_ms, std::function<void()> done) override;
  void stop() override;

  const health::ProberCounters& check_counters() const { return prober_.counters(); }

 private:
  using Backends = std::vector<proxy::BackendId>;

  void check(const DesiredState& state);
  void tell(const proxy::BackendId& backend, const health::Verdict& verdict);
  void changed(const health::Check& check, const health::Verdict& verdict);

  std::unique_ptr<proxy::DataPath> path_;
  const std::function<void(const proxy::BackendId&, const health::Verdict&)> on_change_;
  std::map<health::Check, Backends> checks_;
  std::set<proxy::BackendId> checked_;
  health::Prober prober_;
};

}  // namespace lb::dataplane
