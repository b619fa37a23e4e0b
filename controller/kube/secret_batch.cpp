#include "controller/kube/secret_batch.hpp"

#include <algorithm>

namespace lb::kube {

std::vector<SecretName> batch_of(DueNames due, size_t most) {
  std::vector<std::pair<std::chrono::steady_clock::time_point, std::string>> order;
  for (auto& [ns, names] : due) {
    std::sort(names.rbegin(), names.rend());
    order.emplace_back(names.back().first, ns);
  }
  std::sort(order.begin(), order.end());
  std::vector<SecretName> out;
  for (bool any = true; any && out.size() < most;) {
    any = false;
    for (const auto& [time, ns] : order) {
      auto& names = due[ns];
      if (names.empty() || out.size() == most) continue;
      out.push_back(std::move(names.back().second));
      names.pop_back();
      any = true;
    }
  }
  return out;
}

}  // namespace lb::kube
