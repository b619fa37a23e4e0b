// SipHash-1-3 (Aumasson and Bernstein, 2012) over 64-bit words: under a secret key, whoever chooses
// source addresses cannot choose where they land in a table.
//
// For keys that all have the same length within one table: the length block of the original is left
// out. Values; any thread.
#pragma once

#include <bit>
#include <cstdint>

namespace lb::balance {

struct HashSeed {
  uint64_t a = 0;
  uint64_t b = 0;
};

class SipHash {
 public:
  explicit SipHash(const HashSeed& seed)
      : v0_(seed.a ^ 0x736f6d6570736575),
        v1_(seed.b ^ 0x646f72616e646f6d),
        v2_(seed.a ^ 0x6c7967656e657261),
        v3_(seed.b ^ 0x7465646279746573) {}

  void absorb(uint64_t word) {
    v3_ ^= word;
    round();
    v0_ ^= word;
  }

  uint64_t finish() {
    v2_ ^= 0xff;
    for (int i = 0; i < 3; ++i) round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  void round() {
    v0_ += v1_;
    v1_ = std::rotl(v1_, 13) ^ v0_;
    v0_ = std::rotl(v0_, 32);
    v2_ += v3_;
    v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ += v3_;
    v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ += v1_;
    v1_ = std::rotl(v1_, 17) ^ v2_;
    v2_ = std::rotl(v2_, 32);
  }

  uint64_t v0_, v1_, v2_, v3_;
};

}  // namespace lb::balance
