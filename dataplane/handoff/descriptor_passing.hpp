// Passes open descriptors over a unix stream socket, as SCM_RIGHTS messages (unix(7), cmsg(3)).
//
// One batch is one message of one byte: how many descriptors it carries, 1 to kBatch. Both ends
// know the total beforehand. Works on blocking and on non-blocking sockets; one call is one
// system call that ends, so an event loop calls it when the socket is ready. Descriptors are
// borrowed for sending and owned once received (close-on-exec); after an error none of a batch
// stays open. Any thread, one at a time for each direction of a socket. Nothing throws.
//
// Error codes: "PeerGone", "DescriptorCount" (not what was agreed), "TooManyOpenFiles" (this
// process may not hold that many), "Descriptors" (any other failure).
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "common/model/result.hpp"
#include "common/net/fd.hpp"

namespace lb::handoff {

inline constexpr size_t kBatch = 200;  // the kernel takes 253

// Of `left` descriptors, how many the next batch carries.
constexpr size_t batch_size(size_t left) { return left < kBatch ? left : kBatch; }

// Sends 1 to kBatch descriptors; false when the socket cannot take them now (EAGAIN).
Result<bool> send_batch(int socket, std::span<const int> descriptors);

// Receives a batch that must have `expected` descriptors; nullopt when nothing has come (EAGAIN).
Result<std::optional<std::vector<net::Fd>>> receive_batch(int socket, size_t expected);

}  // namespace lb::handoff
