// Whether the kernel could send our own traffic from an address that we announce, and which address
// of the node to take instead. Pure; any thread.
//
// The kernel takes the first IPv4 address of the interface that a route leads out of. One of ours
// is first there when the node's own address was added after it (a lease that was renewed anew).
// IPv6 source selection passes over ours, since they are never preferred (RFC 6724, rule 3).
#pragma once

#include <optional>
#include <set>
#include <vector>

#include "common/model/address.hpp"
#include "common/net/interfaces.hpp"

namespace lb::proxy {

// `local` in the kernel's order.
bool may_be_chosen(const std::vector<net::InterfaceAddress>& local,
                   const std::set<IpAddress>& ours);

// The first address of the interface of `chosen` that is not ours; nullopt: there is none.
std::optional<IpAddress> source_instead_of(const IpAddress& chosen,
                                           const std::vector<net::InterfaceAddress>& local,
                                           const std::set<IpAddress>& ours);

}  // namespace lb::proxy
