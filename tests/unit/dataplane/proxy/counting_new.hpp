// How many times the program has asked for heap memory; linking it replaces operator new.
#pragma once

#include <cstdint>

namespace lb::proxy {

uint64_t allocations();

}  // namespace lb::proxy
