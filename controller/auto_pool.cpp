#include "controller/auto_pool.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

namespace lb::controller {
namespace {

struct Interface {
  std::string name;
  IpAddress address;
  unsigned prefix_length = 0;
};

uint32_t host_order(const sockaddr* address) {
  sockaddr_in in;
  std::memcpy(&in, address, sizeof in);
  return ntohl(in.sin_addr.s_addr);
}

std::vector<Interface> interfaces() {
  std::vector<Interface> out;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return out;
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    const bool usable = each->ifa_addr != nullptr && each->ifa_addr->sa_family == AF_INET &&
                        each->ifa_netmask != nullptr && (each->ifa_flags & IFF_UP) != 0 &&
                        (each->ifa_flags & IFF_LOOPBACK) == 0;
    if (!usable) continue;
    out.push_back({each->ifa_name, IpAddress::v4(host_order(each->ifa_addr)),
                   static_cast<unsigned>(std::popcount(host_order(each->ifa_netmask)))});
  }
  freeifaddrs(list);
  // A /32 is an address of ours or another provider's, never the node's subnet.
  std::erase_if(out, [](const Interface& each) { return each.prefix_length == 32; });
  return out;
}

// The interface of the route to 0.0.0.0/0 (proc(5), net/route); empty when there is none.
std::string default_interface() {
  std::ifstream routes("/proc/net/route");
  std::string line;
  std::getline(routes, line);
  while (std::getline(routes, line)) {
    std::istringstream fields(line);
    std::string name, destination;
    fields >> name >> destination;
    if (destination == "00000000") return name;
  }
  return {};
}

}  // namespace

Result<AddressRange> upper_end(const IpAddress& node, unsigned prefix_length) {
  const uint32_t mask = prefix_length == 0 ? 0 : ~uint32_t{0} << (32 - prefix_length);
  const uint32_t network = node.to_v4() & mask;
  const uint32_t broadcast = network | ~mask;
  // Half of what hosts may have at most, so that a tiny subnet is not taken whole.
  const uint32_t hosts = prefix_length >= 31 ? 0 : broadcast - network - 1;
  const uint32_t size = std::min<uint32_t>(kAutoPoolSize, hosts / 2);
  if (size == 0) {
    return Error{"Pool", "--pool auto: the subnet of " + node.to_string() + "/" +
                             std::to_string(prefix_length) +
                             " is too small; name a range with --pool"};
  }
  uint32_t last = broadcast - 1;
  uint32_t first = broadcast - size;
  if (node.to_v4() == last) --last;
  if (node.to_v4() >= first && node.to_v4() <= last) first = node.to_v4() + 1;
  return AddressRange{IpAddress::v4(first), IpAddress::v4(last)};
}

Result<AddressRange> auto_pool() {
  const auto all = interfaces();
  const std::string preferred = default_interface();
  for (const auto& each : all) {
    if (each.name == preferred) return upper_end(each.address, each.prefix_length);
  }
  if (all.size() == 1) return upper_end(all.front().address, all.front().prefix_length);
  return Error{"Pool", "--pool auto: this machine has no default route and " +
                           std::to_string(all.size()) +
                           " interfaces with an IPv4 address; name a range with --pool"};
}

}  // namespace lb::controller
