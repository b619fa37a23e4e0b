#include "dataplane/proxy/udp_key.hpp"

#include <bit>
#include <cstring>
#include <random>

namespace lb::proxy {
namespace {

struct SipState {
  uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void absorb(uint64_t word) {
    v3 ^= word;
    round();
    v0 ^= word;
  }
};

UdpHashSeed draw_seed() {
  std::random_device source;
  const auto word = [&] { return uint64_t{source()} << 32 | source(); };
  return {word(), word()};
}

}  // namespace

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

const UdpHashSeed& process_udp_seed() {
  static const UdpHashSeed seed = draw_seed();
  return seed;
}

// Every key has the same length, so the length block of the original is left out.
uint64_t hash_of(const UdpKey& key, const UdpHashSeed& seed) {
  SipState state{seed.a ^ 0x736f6d6570736575, seed.b ^ 0x646f72616e646f6d,
                 seed.a ^ 0x6c7967656e657261, seed.b ^ 0x7465646279746573};
  for (const uint64_t word : key.client) state.absorb(word);
  for (const uint64_t word : key.local) state.absorb(word);
  state.absorb(key.port_and_scope);
  state.v2 ^= 0xff;
  for (int i = 0; i < 3; ++i) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace lb::proxy
