// The Pods that are known, and which slices name them: what has to be looked at again when a Pod
// comes, changes its addresses or goes.
//
// For --strict-endpoints. Owned by the source, on its thread; never fails. Slices are told of by
// their own key and as they were put, so that link() and unlink() match.
#pragma once

#include <map>
#include <set>
#include <string>

#include "controller/core/pods.hpp"

namespace lb::sources {

class KnownPods {
 public:
  using Keys = std::set<std::string>;

  const plan::Pods& all() const { return pods_; }

  void link(const std::string& slice_key, const plan::EndpointSliceObject& slice);
  void unlink(const std::string& slice_key, const plan::EndpointSliceObject& slice);

  // Each names the slices that read otherwise now.
  Keys put(plan::PodObject pod);
  Keys erase(const std::string& pod_key);
  Keys keep_only(const Keys& pod_keys);

 private:
  Keys naming(const std::string& pod_key) const;

  plan::Pods pods_;
  std::map<std::string, Keys> slices_of_;  // by the Pod's key
};

}  // namespace lb::sources
