#include "dataplane/proxy/source_key.hpp"

#include <endian.h>

#include <cstring>

namespace lb::proxy {
namespace {

constexpr uint64_t kMapped = uint64_t{0xffff} << 32;  // ::ffff:0:0/96

uint64_t word_at(const IpAddress& address, size_t offset) {
  uint64_t word;
  std::memcpy(&word, address.bytes().data() + offset, sizeof word);
  return be64toh(word);
}

}  // namespace

SourceKey key_of_address(const IpAddress& address) {
  if (address.is_v4()) return {0, kMapped | address.to_v4()};
  return {word_at(address, 0), word_at(address, 8)};
}

SourceKey key_of_source(const IpAddress& address) {
  static_assert(kIpv6SourcePrefix == 64, "the key holds the first of two words");
  const SourceKey key = key_of_address(address);
  const bool is_v4 = key.high == 0 && key.low >> 32 == kMapped >> 32;
  return is_v4 ? key : SourceKey{key.high, 0};
}

uint64_t hash_of(const SourceKey& key, const HashSeed& seed) {
  SipHash hash(seed);
  hash.absorb(key.high);
  hash.absorb(key.low);
  return hash.finish();
}

}  // namespace lb::proxy
