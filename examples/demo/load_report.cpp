#include "examples/demo/load_report.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace demo {
namespace {

constexpr size_t kMaxListed = 200;

UnixMs quantile(std::vector<UnixMs> times, double q) {
  if (times.empty()) return 0;
  const auto at = static_cast<size_t>(q * static_cast<double>(times.size() - 1));
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(at), times.end());
  return times[at];
}

}  // namespace

void LoadReport::add(const Outcome& outcome) {
  times_.push_back(outcome.ended - outcome.began);
  if (!outcome.failure.empty()) {
    ++failed_;
    ++causes_[outcome.failure];
    if (failures_.size() < kMaxListed) failures_.push_back(outcome);
    return;
  }
  ++ok_;
  Share& share = backends_[outcome.backend];
  if (share.count++ == 0) share.first = outcome.began;
  share.first = std::min(share.first, outcome.began);
  share.last = std::max(share.last, outcome.began);
}

std::string LoadReport::to_json() const {
  nlohmann::ordered_json out{{"ok", ok_}, {"failed", failed_}, {"causes", causes_}};
  out["ms"] = {{"median", quantile(times_, 0.5)},
               {"p99", quantile(times_, 0.99)},
               {"max", quantile(times_, 1.0)}};
  out["backends"] = nlohmann::ordered_json::object();
  for (const auto& [name, share] : backends_) {
    out["backends"][name] = {{"count", share.count}, {"first", share.first}, {"last", share.last}};
  }
  out["failures"] = nlohmann::ordered_json::array();
  for (const auto& each : failures_) {
    out["failures"].push_back({{"began", each.began},
                               {"ms", each.ended - each.began},
                               {"cause", each.failure},
                               {"backend", each.backend}});
  }
  return out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace demo
