#include "dataplane/balance/slow_start.hpp"

namespace lb::balance {

uint16_t slow_start_share(uint64_t ms_since_back, uint32_t slow_start_s) {
  constexpr uint64_t kFirst = 100, kAll = 1000;
  const uint64_t whole_ms = uint64_t{slow_start_s} * 1000;
  if (ms_since_back >= whole_ms) return kAll;
  return uint16_t(kFirst + (kAll - kFirst) * ms_since_back / whole_ms);
}

}  // namespace lb::balance
