// A byte path whose backends are checked actively, as the policies ask.
//
// Owned and called by the control thread, like what it wraps. Each change hands the set of checks
// to the prober; equal checks of several services are one probe. A verdict goes to every backend
// that it is about; a backend that is not checked is unknown, which counts as usable.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/model/diff.hpp"
#include "common/net/asio.hpp"
#include "dataplane/forwarding_path.hpp"
#include "dataplane/health/prober.hpp"

namespace lb::dataplane {

class CheckedPath : public ForwardingPath {
 public:
  // `on_change`: a health is another than before. `descriptor_line`: numbers from here on are not
  // for checks.
  CheckedPath(asio::io_context& io, std::unique_ptr<proxy::DataPath> path,
              std::function<void(const proxy::BackendId&, const health::Verdict&)> on_change,
              int descriptor_line = INT_MAX);

  void apply(std::shared_ptr<const DesiredState> state,
             std::function<void(std::vector<Failure>)> done) override;
  void drain(unsigned grace_ms, std::function<void()> done) override;
  void stop() override;

  const health::ProberCounters& check_counters() const { return prober_.counters(); }

 private:
  using Backends = std::vector<proxy::BackendId>;

  bool concerns_checks(const StateDiff& change) const;
  void check(const DesiredState& state);
  void tell(const proxy::BackendId& backend, const health::Verdict& verdict);
  void changed(const health::Check& check, const health::Verdict& verdict);

  const std::function<void(const proxy::BackendId&, const health::Verdict&)> on_change_;
  std::map<health::Check, Backends> checks_;
  std::set<proxy::BackendId> checked_;
  std::set<std::string> checked_services_;
  std::shared_ptr<const DesiredState> state_ = std::make_shared<const DesiredState>();
  health::Prober prober_;
};

}  // namespace lb::dataplane
