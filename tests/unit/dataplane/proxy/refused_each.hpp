// A call that is made again and again while memory lacks, each time at a later allocation.
#pragma once

#include <cstdint>
#include <new>

#include "tests/unit/dataplane/proxy/counting_new.hpp"

namespace lb::proxy {

inline constexpr int64_t kMost = 500;  // allocations of one call

// Each allocation of the call is refused once, until it has them all; how many were refused.
template <class Call>
int64_t refused_each(const Call& call) {
  for (int64_t number = 0; number < kMost; ++number) {
    try {
      const FailingNew failing(number);
      call();
      return number;
    } catch (const std::bad_alloc&) {
      continue;
    }
  }
  return kMost;
}

}  // namespace lb::proxy
