// `--pool auto`: a few addresses at the upper end of the node's own subnet.
//
// The data plane probes each of them before it is used, since somebody may have them already. Meant
// for one machine on its own network (minikube, a home lab): a DHCP server does not know of them.
#pragma once

#include <string>

#include "common/model/address.hpp"
#include "common/model/result.hpp"

namespace lb::controller {

inline constexpr unsigned kAutoPoolSize = 10;

// Pure: the range below the broadcast address, without the node itself at either end of it.
Result<AddressRange> upper_end(const IpAddress& node, unsigned prefix_length);

// The same for the interface of the default route, or the only one that has a global address.
Result<AddressRange> auto_pool();

}  // namespace lb::controller
