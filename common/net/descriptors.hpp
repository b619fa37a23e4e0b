// The descriptors of this process: how many it may have, and how many it has.
//
// Any thread. Needs /proc; without it nothing counts as open.
#pragma once

#include <cstdint>
#include <optional>

namespace lb::net {

// Raises the soft limit to the hard one (getrlimit(2), RLIMIT_NOFILE) and returns what holds now.
uint64_t raise_descriptor_limit();

// Open now, where the kernel tells by one call (Linux 6.2).
std::optional<uint64_t> told_descriptors();

// Open now. Where the kernel does not tell, as many calls as there are descriptors.
uint64_t open_descriptors();

}  // namespace lb::net
