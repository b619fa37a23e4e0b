// CPU time that other processes have used, in nanoseconds (proc(5), schedstat of every thread):
// exact over a window, however busy the machine is.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace bench {

uint64_t cpu_ns(const std::vector<pid_t>& processes);

}  // namespace bench
