// A byte path whose backends are checked actively, as the policies ask.
//
// Owned and called by the control thread, like what it wraps. A change costs the services that it
// names, however many others are checked; equal checks of several services are one probe. A verdict
// goes to every backend that it is about; a backend that is not checked is unknown, which counts as
// usable.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
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

  // See Prober::look().
  void look() { prober_.look(); }

  const health::ProberCounters& check_counters() const { return prober_.counters(); }

 private:
  using Wanted = std::map<proxy::BackendId, health::Check>;
  // The same, but one may be there twice while its check is exchanged.
  using Asked = std::set<std::pair<proxy::BackendId, health::Check>>;

  std::set<std::string> to_look_at(const DesiredState& state) const;
  void check(const std::string& key, const DesiredState& state);
  void ask(Asked& asked, const Wanted& wanted);
  void drop(Asked& asked, const Wanted& wanted);
  void drop(const proxy::BackendId& id, const health::Check& check);
  void tell(const proxy::BackendId& backend, const health::Verdict& verdict);
  void changed(const health::Check& check, const health::Verdict& verdict);

  const std::function<void(const proxy::BackendId&, const health::Verdict&)> on_change_;
  std::map<health::Check, std::set<proxy::BackendId>> checks_;
  std::map<std::string, Asked> asked_;  // by key of the service; all that is in checks_
  std::set<std::string> failed_;        // not all of them was served when they were last applied
  bool unchecked_ = false;              // checks are those of no state
  std::shared_ptr<const DesiredState> state_ = std::make_shared<const DesiredState>();
  health::Prober prober_;
};

}  // namespace lb::dataplane
