// The listeners that services have been given, and who stands in whose way. Pure; one thread.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <tuple>

#include "common/model/match.hpp"
#include "common/model/state.hpp"

namespace lb {

class HeldListeners {
 public:
  using Held = std::map<MatchAtom, std::string>;  // by whom, each connection of an address and port

  // What stands in the way, nullptr when nothing does.
  const Held::value_type* holder(const IpAddress& address, const ServicePort& port) const;

  // Where nothing stands in the way.
  void take(const IpAddress& address, const ServicePort& port, const std::string& key);
  // Of what was taken.
  void release(const IpAddress& address, const ServicePort& port);

  // Whether some listener is there. `local`: the address is this host's, so that a wildcard's is.
  bool answers(const Endpoint& at, Protocol protocol, bool local) const;

  // Whether some listener has that address.
  bool is_vip(const IpAddress& address) const { return addresses_.contains(address); }

 private:
  using PortKey = std::tuple<Family, uint16_t, Protocol>;
  using Holders = std::map<IpAddress, Held>;  // of one port

  std::map<PortKey, Holders> ports_;
  std::map<IpAddress, size_t> addresses_;  // and how many listeners each has
};

}  // namespace lb
