#include "controller/auto_pool.hpp"

#include <algorithm>

#include "common/net/interfaces.hpp"

namespace lb::controller {

Result<AddressRange> upper_end(const IpAddress& node, unsigned prefix_length) {
  const uint32_t mask = prefix_length == 0 ? 0 : ~uint32_t{0} << (32 - prefix_length);
  const uint32_t network = node.to_v4() & mask;
  const uint32_t broadcast = network | ~mask;
  // Half of what hosts may have at most, so that a tiny subnet is not taken whole.
  const uint32_t hosts = prefix_length >= 31 ? 0 : broadcast - network - 1;
  const uint32_t size = std::min<uint32_t>(kAutoPoolSize, hosts / 2);
  if (size == 0) {
    return Error{"Pool", "the subnet of " + node.to_string() + "/" + std::to_string(prefix_length) +
                             " is too small; name a range with --pool"};
  }
  uint32_t last = broadcast - 1;
  uint32_t first = broadcast - size;
  if (node.to_v4() == last) --last;
  if (node.to_v4() >= first && node.to_v4() <= last) first = node.to_v4() + 1;
  return AddressRange{IpAddress::v4(first), IpAddress::v4(last)};
}

Result<AddressRange> auto_pool() {
  const auto own = net::own_interface();
  if (own) return upper_end(own->address, own->prefix_length);
  return Error{"Pool",
               "this machine has no default route, and not exactly one interface with an IPv4 "
               "address; name a range with --pool"};
}

}  // namespace lb::controller
