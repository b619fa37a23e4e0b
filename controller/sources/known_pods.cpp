#include "controller/sources/known_pods.hpp"

#include <utility>
#include <vector>

namespace lb::sources {

void KnownPods::link(const std::string& slice_key, const plan::EndpointSliceObject& slice) {
  for (const auto& endpoint : slice.endpoints) {
    const std::string pod = plan::pod_of(slice, endpoint);
    if (!pod.empty()) slices_of_[pod].insert(slice_key);
  }
}

void KnownPods::unlink(const std::string& slice_key, const plan::EndpointSliceObject& slice) {
  for (const auto& endpoint : slice.endpoints) {
    const auto found = slices_of_.find(plan::pod_of(slice, endpoint));
    if (found == slices_of_.end()) continue;
    found->second.erase(slice_key);
    if (found->second.empty()) slices_of_.erase(found);
  }
}

KnownPods::Keys KnownPods::put(plan::PodObject pod) {
  const std::string key = plan::pod_key(pod.ns, pod.name);
  auto& held = pods_[key];
  if (std::exchange(held, pod.addresses) == pod.addresses) return {};
  return naming(key);
}

KnownPods::Keys KnownPods::erase(const std::string& pod_key) {
  return pods_.erase(pod_key) > 0 ? naming(pod_key) : Keys{};
}

KnownPods::Keys KnownPods::keep_only(const Keys& pod_keys) {
  std::vector<std::string> gone;
  for (const auto& [key, addresses] : pods_) {
    if (!pod_keys.contains(key)) gone.push_back(key);
  }
  Keys out;
  for (const auto& key : gone) out.merge(erase(key));
  return out;
}

KnownPods::Keys KnownPods::naming(const std::string& pod_key) const {
  const auto found = slices_of_.find(pod_key);
  return found == slices_of_.end() ? Keys{} : found->second;
}

}  // namespace lb::sources
