#include "dataplane/balance/hash.hpp"

#include "dataplane/balance/sip_hash.hpp"

namespace lb::balance {
namespace {

constexpr uint64_t kBackendSeed = 0x656d70616c6d6531;

// Byte by byte, so that machines of either byte order agree.
uint64_t word_at(const IpAddress& address, size_t from) {
  uint64_t word = 0;
  for (size_t i = from; i < from + 8; ++i) word = word << 8 | address.bytes()[i];
  return word;
}

// Every input has the same length, so the length block of the original is left out.
uint64_t hash_address(const IpAddress& address, uint64_t port, uint64_t seed) {
  SipHash state({seed, mix(seed)});
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

uint64_t hash_of(std::string_view name) {
  SipHash state({kBackendSeed, mix(kBackendSeed)});
  for (const char c : name) state.absorb(uint64_t(uint8_t(c)));
  return state.finish();
}

}  // namespace lb::balance
