#include "dataplane/backend_finder.hpp"

#include <algorithm>

namespace lb::dataplane {

BackendFinder::BackendFinder(const std::vector<proxy::BackendStatus>& all) {
  sorted_.reserve(all.size());
  for (const auto& each : all) sorted_.push_back(&each);
  const auto before = [](const auto* a, const auto* b) {
    return a->backend != b->backend ? a->backend < b->backend : a < b;
  };
  if (!std::is_sorted(sorted_.begin(), sorted_.end(), before)) {
    std::sort(sorted_.begin(), sorted_.end(), before);
  }
}

const proxy::BackendStatus* BackendFinder::find(const Endpoint& backend) {
  const auto after = std::upper_bound(sorted_.begin(), sorted_.end(), backend,
                                      [this](const Endpoint& wanted, const auto* each) {
                                        ++compared_;
                                        return wanted < each->backend;
                                      });
  if (after == sorted_.begin()) return nullptr;
  const auto* found = *std::prev(after);
  return found->backend == backend ? found : nullptr;
}

}  // namespace lb::dataplane
