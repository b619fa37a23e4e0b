// Who a UDP session belongs to: the client's address and port, and on a wildcard listener the
// local address that the client asked. With the hash that finds it.
//
// The hash is keyed (see hash_seed.hpp): whoever chooses source addresses cannot choose where they
// land. Values; any thread.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>

#include "common/model/address.hpp"
#include "dataplane/proxy/hash_seed.hpp"

namespace lb::proxy {

// A socket address as the kernel fills it in, IPv4 or IPv6, without the 128 bytes of
// sockaddr_storage.
union UdpPeer {
  sockaddr_in6 v6;
  sockaddr_in v4;
  sockaddr base;
};

// In network order; an IPv4 address is in the first four bytes, the rest is 0.
using RawAddress = std::array<uint64_t, 2>;

struct UdpKey {
  RawAddress client{};
  RawAddress local{};  // 0 unless the listener is a wildcard
  uint64_t port_and_scope = 0;

  bool operator==(const UdpKey&) const = default;
};

UdpKey make_udp_key(const UdpPeer& client, const RawAddress& local);
IpAddress address_of(const UdpPeer& client);
inline uint16_t port_of(const UdpPeer& client) {  // v4 and v6 have it in the same place
  return ntohs(client.v4.sin_port);
}
IpAddress address_of(const RawAddress& address, Family family);
inline socklen_t length_of(const UdpPeer& peer) {
  return peer.base.sa_family == AF_INET ? sizeof peer.v4 : sizeof peer.v6;
}

using UdpHashSeed = HashSeed;
inline const UdpHashSeed& process_udp_seed() { return process_hash_seed(); }
uint64_t hash_of(const UdpKey& key, const UdpHashSeed& seed);

}  // namespace lb::proxy
