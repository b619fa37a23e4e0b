// The socket calls of the UDP relay, by name (udp(7), ip(7), ipv6(7)).
//
// Error codes are those of sockets.hpp: AddressInUse, PermissionDenied, AddressNotLocal,
// SocketError. Nothing throws. Any thread.
#pragma once

#include "common/model/address.hpp"
#include "common/model/result.hpp"
#include "common/net/fd.hpp"
#include "dataplane/proxy/socket_tuning.hpp"

namespace lb::proxy {

// Binds with neither SO_REUSEADDR nor SO_REUSEPORT, either of which UDP would let share a port:
// proves that nobody holds it. The port of a listener of ours that still drains counts as held.
Status probe_udp_port(const Endpoint& where, bool freebind);

// A non-blocking SO_REUSEPORT socket; one per worker makes the kernel keep each client with one of
// them. On a wildcard address every datagram says which address it was sent to. Asks for 4 MiB of
// buffer each way, and takes what net.core.rmem_max and wmem_max allow.
Result<net::Fd> open_udp_listener(const Endpoint& where, bool freebind);

// A non-blocking socket that hears one peer only. On failure the descriptor is invalid and errno
// says why; EAGAIN then means that net.ipv4.ip_local_port_range has no port left. `source_v4` (host
// order, 0: as routed) is the address that it sends from, where it is one of ours. A socket that
// cannot be tuned is made nevertheless; *tuned then becomes false.
net::Fd connect_udp(const Endpoint& where, const SocketTuning& tuning = {}, bool* tuned = nullptr,
                    uint32_t source_v4 = 0);

// Lets the kernel hand over a train of equal datagrams as one (UDP_GRO). Best effort.
void receive_trains(int fd);
// Whether somebody has let it: a socket from another process comes with its options.
bool receives_trains(int fd);

}  // namespace lb::proxy
