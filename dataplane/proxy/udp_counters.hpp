// What a UDP relay has done, and every reason for which it has dropped a datagram.
//
// One writer each (the worker, relaxed), read when scraped. Datagrams and bytes are counted once
// they are on their way: what was read from a client is either datagrams_in or exactly one drop.
#pragma once

#include <atomic>
#include <cstdint>

namespace lb::proxy {

struct UdpCounters {
  using Count = std::atomic<uint64_t>;

  Count sessions_opened{0}, sessions_closed{0};
  Count datagrams_in{0}, bytes_in{0};    // passed to backends
  Count datagrams_out{0}, bytes_out{0};  // passed to clients
  Count trains_in{0}, trains_out{0};     // sends that carried several datagrams in one message

  // Drops of datagrams from clients that never got a session.
  Count no_backend{0};      // nobody to pick
  Count source_refused{0};  // outside source_ranges, or in deny_ranges
  Count session_limit{
      0};  // the listener, or the worker, has as many sessions as it may, all answered
  Count limit_refused{0};  // above max_connections or a limit by source
  Count closing{0};        // a new client of a listener that drains

  // Drops of datagrams in either direction, by cause.
  Count truncated{0};      // larger than UDP can be; does not happen by the RFC
  Count own_wants{0};      // no descriptor, port or memory left here
  Count send_full{0};      // the socket's send buffer was full
  Count too_large{0};      // the other family or the path cannot carry it, or not with a header
  Count unreachable{0};    // no route
  Count send_failed{0};    // anything else
  Count refused_twice{0};  // from a client; its session was refused while it was in hand, twice

  // Datagrams that the kernel dropped because a listener's receive buffer was full; read in tick().
  Count queue_overflows{0};

  Count no_memory{0};  // what was left undone for want of it, but for datagrams: see own_wants

  Count unwatched{0};  // times that a listener could not be listened at

  Count untuned{0};  // sockets that the kernel would not tune as the policy asks

  Count refused{0};       // ECONNREFUSED from a backend
  Count resent{0};        // datagrams that were sent again after one, to the next backend
  Count lost_refused{0};  // datagrams_in that are known to have been refused and were not resent
  Count ejections{0};     // backends that this relay has ejected
  Count moved{0};         // sessions that went on with another backend
  Count idle_timeouts{0};
  Count evicted{0};     // sessions without any answer that made room for new ones
  Count drain_ends{0};  // sessions that a drain's end has ended
  Count killed{0};      // sessions that an operator has ended
};

}  // namespace lb::proxy
