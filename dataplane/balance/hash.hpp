// Hashes for balancing: of clients under a secret, of backends, and the mixing in between.
//
// Both are SipHash-1-3 (Aumasson and Bernstein, 2012). Without the seed nobody can choose source
// addresses that land on one backend; draw it once per process, or share it between data planes
// that shall agree. Backends have a fixed key: their hash is the same everywhere and always. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/model/address.hpp"

namespace lb::balance {

uint64_t hash_of(const IpAddress& client, uint64_t seed);
uint64_t hash_of(const Endpoint& backend);
uint64_t hash_of(std::string_view name);  // the same everywhere and always, too

// A bijection that spreads every bit over all (the finaliser of splitmix64, Steele et al., 2014).
inline uint64_t mix(uint64_t word) {
  word += 0x9e3779b97f4a7c15;
  word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
  word = (word ^ word >> 27) * 0x94d049bb133111eb;
  return word ^ word >> 31;
}

// From 64 uniform bits a number below `limit`, uniform but for limit / 2^64.
inline uint64_t scale_to(uint64_t uniform, uint64_t limit) {
  return uint64_t(static_cast<unsigned __int128>(uniform) * limit >> 64);
}

// The sequence of splitmix64 from any start: fast, even, not secret.
inline uint64_t next_random(uint64_t& state) { return mix(state += 0x9e3779b97f4a7c15); }

}  // namespace lb::balance
