#include "common/net/interfaces.hpp"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <bit>
#include <cstring>
#include <fstream>
#include <sstream>

#include "common/net/fd.hpp"
#include "common/net/sockaddr.hpp"

namespace lb::net {
namespace {

SockAddr copy(const sockaddr* from) {
  SockAddr out;
  out.length = from->sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  std::memcpy(&out.storage, from, out.length);
  return out;
}

unsigned prefix_length(const sockaddr* mask) {
  if (mask == nullptr) return 0;
  unsigned bits = 0;
  if (mask->sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, mask, sizeof in);
    return static_cast<unsigned>(std::popcount(in.sin_addr.s_addr));
  }
  sockaddr_in6 in;
  std::memcpy(&in, mask, sizeof in);
  for (const uint8_t byte : in.sin6_addr.s6_addr)
    bits += static_cast<unsigned>(std::popcount(byte));
  return bits;
}

}  // namespace

std::vector<InterfaceAddress> interface_addresses() {
  std::vector<InterfaceAddress> out;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return out;
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr) continue;
    const int family = each->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    out.push_back({each->ifa_name, to_endpoint(copy(each->ifa_addr)).address,
                   prefix_length(each->ifa_netmask), (each->ifa_flags & IFF_LOOPBACK) != 0,
                   (each->ifa_flags & IFF_UP) != 0});
  }
  freeifaddrs(list);
  return out;
}

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

std::optional<InterfaceAddress> own_interface() {
  std::vector<InterfaceAddress> candidates;
  for (auto& each : interface_addresses()) {
    if (each.up && !each.loopback && each.address.is_v4() && each.prefix_length < 32) {
      candidates.push_back(std::move(each));
    }
  }
  const std::string preferred = default_interface();
  for (const auto& each : candidates) {
    if (each.interface == preferred) return each;
  }
  if (candidates.size() == 1) return candidates.front();
  return std::nullopt;
}

// Connecting a datagram socket looks up the route and sends nothing (udp(7)).
std::optional<IpAddress> route_source(const IpAddress& to) {
  constexpr uint16_t kAnyPort = 9;
  const SockAddr where = to_sockaddr(Endpoint{to, kAnyPort});
  const Fd socket(::socket(where.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (::connect(socket.get(), where.get(), where.length) != 0) return std::nullopt;
  SockAddr local;
  local.length = sizeof local.storage;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&local.storage), &local.length) !=
      0) {
    return std::nullopt;
  }
  return to_endpoint(local).address;
}

std::optional<InterfaceInfo> interface_info(const std::string& name) {
  ifreq request{};
  if (name.empty() || name.size() >= sizeof request.ifr_name) return std::nullopt;
  std::memcpy(request.ifr_name, name.data(), name.size());
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (::ioctl(socket.get(), SIOCGIFINDEX, &request) != 0) return std::nullopt;
  InterfaceInfo out;
  out.index = request.ifr_ifindex;
  if (::ioctl(socket.get(), SIOCGIFHWADDR, &request) == 0) {
    std::memcpy(out.mac.data(), request.ifr_hwaddr.sa_data, out.mac.size());
  }
  if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) == 0) {
    out.up = (request.ifr_flags & IFF_UP) != 0;
    out.running = (request.ifr_flags & IFF_RUNNING) != 0;
  }
  return out;
}

}  // namespace lb::net
