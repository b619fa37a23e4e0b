// How much of its weight a backend gets that has just come back. Pure; any thread.
#pragma once

#include <cstdint>

namespace lb::balance {

// Permille: from 100 when it comes back, in a straight line, to 1000 after `slow_start_s`; 1000
// always where that is 0.
uint16_t slow_start_share(uint64_t ms_since_back, uint32_t slow_start_s);

}  // namespace lb::balance
