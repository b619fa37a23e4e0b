// How many connections the kernel has dropped because the queue of a listener was full.
//
// The kernel counts for a whole network namespace (TcpExt ListenOverflows, proc_pid_net(5)): on the
// host network other programs' listeners are counted too. Any thread; reads one small file. Nothing
// where the file cannot be read.
#pragma once

#include <cstdint>
#include <istream>
#include <optional>

namespace lb::dataplane {

std::optional<uint64_t> listen_overflows();

// The same from an open file of that form: lines in pairs, names above values.
std::optional<uint64_t> read_listen_overflows(std::istream& netstat);

}  // namespace lb::dataplane
