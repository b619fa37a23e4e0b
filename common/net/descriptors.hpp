// The descriptors of this process: how many it may have, and how many it has.
//
// Any thread. Needs /proc; without it nothing counts as open.
#pragma once

#include <cstdint>

namespace lb::net {

// Raises the soft limit to the hard one (getrlimit(2), RLIMIT_NOFILE) and returns what holds now.
uint64_t raise_descriptor_limit();

// Open now. One call where the kernel tells (Linux 6.2), else as many as there are.
uint64_t open_descriptors();

}  // namespace lb::net
