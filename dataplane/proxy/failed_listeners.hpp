// What could not be served at the last change, and why each listener is not.
//
// Control thread only. set() may throw std::bad_alloc, and then nothing has changed.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/model/state.hpp"
#include "dataplane/proxy/data_path.hpp"

namespace lb::proxy {

class FailedListeners {
 public:
  void set(std::vector<Failure> failed);

  const std::vector<Failure>& all() const { return all_; }
  // Of a service's listener; empty: nothing is known against it. The last one counts. Found without
  // going through the others, which may be thousands.
  std::string reason_of(const std::string& key, const ListenerId& id) const;

 private:
  std::vector<Failure> all_;
  std::map<std::pair<std::string, ListenerId>, size_t> where_;  // in all_
};

}  // namespace lb::proxy
