// Finds one backend after the other among those of a port, which may be thousands.
//
// Pure; what is searched outlives it. May throw std::bad_alloc when it is made.
#pragma once

#include <cstddef>
#include <vector>

#include "dataplane/proxy/data_path.hpp"

namespace lb::dataplane {

class BackendFinder {
 public:
  explicit BackendFinder(const std::vector<proxy::BackendStatus>& all);

  // Null: it is not there. Of two of the same endpoint the last one.
  const proxy::BackendStatus* find(const Endpoint& backend);

  // How many were compared with what was looked for: what the finding costs.
  size_t compared() const { return compared_; }

 private:
  std::vector<const proxy::BackendStatus*> sorted_;
  size_t compared_ = 0;
};

}  // namespace lb::dataplane
