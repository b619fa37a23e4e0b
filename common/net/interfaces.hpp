// The machine's network interfaces and their addresses. Any thread; read afresh at each call.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/model/address.hpp"

namespace lb::net {

struct InterfaceAddress {
  std::string interface;
  IpAddress address;
  unsigned prefix_length = 0;
  bool loopback = false;
  bool up = false;
};

// IPv4 and IPv6 addresses of every interface.
std::vector<InterfaceAddress> interface_addresses();

// The interface of the IPv4 route to everywhere (proc(5), net/route); empty when there is none.
std::string default_interface();

// The interface with the node's own address: that of the default route, or the only one that has
// a global IPv4 address. nullopt when that leaves a choice. Addresses of a single host (/32) are
// not counted: they are ours or another provider's.
std::optional<InterfaceAddress> own_interface();

// The address that the kernel would send from to `to`; nullopt: there is no route.
std::optional<IpAddress> route_source(const IpAddress& to);

struct InterfaceInfo {
  int index = 0;
  std::array<uint8_t, 6> mac{};
  bool up = false;
  bool running = false;  // has a carrier
};
// nullopt: no such interface.
std::optional<InterfaceInfo> interface_info(const std::string& name);

}  // namespace lb::net
