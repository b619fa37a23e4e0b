// The socket calls of the byte path, by name. Errors are errno values in Error::code's message;
// nothing throws. Any thread.
#pragma once

#include <optional>

#include "common/model/address.hpp"
#include "common/model/result.hpp"
#include "common/net/fd.hpp"
#include "dataplane/proxy/socket_tuning.hpp"

namespace lb::proxy {

// Binds without listening and without SO_REUSEPORT: proves that nobody else holds the port, which
// a second REUSEPORT socket would silently share. Error codes: AddressInUse, PermissionDenied,
// AddressNotLocal, SocketError.
Status probe_port(const Endpoint& where, bool freebind);

// A listening, non-blocking SO_REUSEPORT socket with TCP_NODELAY and keepalive, which accepted
// sockets inherit. The same error codes.
Result<net::Fd> open_listener(const Endpoint& where, bool freebind);

// A non-blocking connect under way. On failure the descriptor is invalid and errno says why.
// `source_v4`: the IPv4 address to leave from, in host order; 0: as routed. A connection that
// cannot be tuned is made nevertheless; *tuned then becomes false.
net::Fd start_connect(const Endpoint& where, uint32_t source_v4 = 0,
                      const SocketTuning& tuning = {}, bool* tuned = nullptr);
// From that address and no other; EADDRNOTAVAIL also where it is not ours.
net::Fd start_connect_from(const Endpoint& where, const IpAddress& source,
                           const SocketTuning& tuning = {}, bool* tuned = nullptr);

int take_error(int fd);    // SO_ERROR, cleared by reading
int unsent_bytes(int fd);  // SIOCOUTQ: not yet acknowledged by the peer
// SIOCINQ: come and not read, also of a socket that was reset since. Unlike recv(2) it leaves the
// socket's error where it is.
int unread_bytes(int fd);
// Since a byte of ours last left, first or again; probes of a closed window are none.
uint64_t ms_since_sending(int fd);
bool all_delivered(int fd);   // nothing is unacknowledged, or nobody is left to do so
void reset_on_close(int fd);  // SO_LINGER {1, 0}: close(2) sends RST
bool has_unread(int fd);      // bytes, whatever comes behind them
bool is_answered(int fd);     // a connect is no longer under way
void discard_input(int fd);   // what has come, unread
void set_nodelay(int fd);
void set_keepalive(int fd);

// How the peer has ended, whether that was read or not, or bytes still stand before it.
enum class PeerEnd : uint8_t { kNone, kFin, kReset };
PeerEnd peer_end(int fd);

// What the kernel knows of the other end (tcp(7), TCP_INFO).
struct PeerState {
  bool unacknowledged = false;  // something was sent that has not been acknowledged
  unsigned retransmits = 0;     // in a row, of the same data
  unsigned probes = 0;          // unanswered, of a window that was closed
};
PeerState peer_state(int fd);
// Six retransmissions are about 13 s; both counts stay 0 for a peer that acknowledges but reads
// slowly.
bool is_dead(const PeerState& peer);

std::optional<Endpoint> peer_endpoint(int fd);
std::optional<Endpoint> local_endpoint(int fd);

}  // namespace lb::proxy
