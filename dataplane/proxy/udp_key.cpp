#include "dataplane/proxy/udp_key.hpp"

#include <cstring>

namespace lb::proxy {

UdpKey make_udp_key(const UdpPeer& client, const RawAddress& local) {
  UdpKey key;
  key.local = local;
  if (client.base.sa_family == AF_INET) {
    key.client[0] = client.v4.sin_addr.s_addr;
    key.port_and_scope = client.v4.sin_port;
    return key;
  }
  std::memcpy(key.client.data(), &client.v6.sin6_addr, 16);
  key.port_and_scope = uint64_t{client.v6.sin6_scope_id} << 16 | client.v6.sin6_port;
  return key;
}

IpAddress address_of(const UdpPeer& client) {
  if (client.base.sa_family == AF_INET) return IpAddress::v4(ntohl(client.v4.sin_addr.s_addr));
  std::array<uint8_t, 16> bytes;
  std::memcpy(bytes.data(), &client.v6.sin6_addr, 16);
  return IpAddress::v6(bytes);
}

IpAddress address_of(const RawAddress& address, Family family) {
  if (family == Family::kV4) return IpAddress::v4(ntohl(uint32_t(address[0])));
  std::array<uint8_t, 16> bytes;
  std::memcpy(bytes.data(), address.data(), 16);
  return IpAddress::v6(bytes);
}

uint64_t hash_of(const UdpKey& key, const UdpHashSeed& seed) {
  SipHash hash(seed);
  for (const uint64_t word : key.client) hash.absorb(word);
  for (const uint64_t word : key.local) hash.absorb(word);
  hash.absorb(key.port_and_scope);
  return hash.finish();
}

}  // namespace lb::proxy
