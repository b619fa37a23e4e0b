#include "dataplane/balance/hash.hpp"

#include <bit>

namespace lb::balance {
namespace {

constexpr uint64_t kBackendSeed = 0x656d70616c6d6531;

struct SipState {
  uint64_t v0, v1, v2, v3;

  explicit SipState(uint64_t seed)
      : v0(seed ^ 0x736f6d6570736575),
        v1(mix(seed) ^ 0x646f72616e646f6d),
        v2(seed ^ 0x6c7967656e657261),
        v3(mix(seed) ^ 0x7465646279746573) {}

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
  uint64_t finish() {
    v2 ^= 0xff;
    for (int i = 0; i < 3; ++i) round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

// Byte by byte, so that machines of either byte order agree.
uint64_t word_at(const IpAddress& address, size_t from) {
  uint64_t word = 0;
  for (size_t i = from; i < from + 8; ++i) word = word << 8 | address.bytes()[i];
  return word;
}

// Every input has the same length, so the length block of the original is left out.
uint64_t hash_address(const IpAddress& address, uint64_t port, uint64_t seed) {
  SipState state(seed);
  state.absorb(word_at(address, 0));
  state.absorb(word_at(address, 8));
  state.absorb(uint64_t(address.family()) << 16 | port);
  return state.finish();
}

}  // namespace

uint64_t hash_of(const IpAddress& client, uint64_t seed) { return hash_address(client, 0, seed); }

uint64_t hash_of(const Endpoint& backend) {
  return hash_address(backend.address, backend.port, kBackendSeed);
}

}  // namespace lb::balance
