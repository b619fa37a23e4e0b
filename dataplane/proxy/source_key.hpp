// What per-source tables look a client up by. An IPv4 address mapped into IPv6 is the IPv4 address.
// Values; any thread.
#pragma once

#include <cstdint>

#include "common/model/address.hpp"
#include "dataplane/proxy/hash_seed.hpp"

namespace lb::proxy {

// One IPv6 client commonly owns a whole /64 (RFC 7421) and could pass for 2^64 sources otherwise.
inline constexpr int kIpv6SourcePrefix = 64;

struct SourceKey {
  uint64_t high = 0;  // host order, as is `low`; IPv4 is in its mapped form
  uint64_t low = 0;

  bool operator==(const SourceKey&) const = default;
};

SourceKey key_of_address(const IpAddress& address);  // one key for one address
SourceKey key_of_source(const IpAddress& address);   // the same for all of an IPv6 /64
uint64_t hash_of(const SourceKey& key, const HashSeed& seed);

}  // namespace lb::proxy
