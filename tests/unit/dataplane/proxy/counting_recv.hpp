// How many times this thread has called recv(2); linking it replaces that.
#pragma once

#include <cstdint>

namespace lb::proxy {

uint64_t recv_calls();

}  // namespace lb::proxy
