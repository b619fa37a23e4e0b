// The lookup table of Maglev hashing (Eisenbud et al., NSDI 2016, section 3.4), with weights.
//
// Each member fills slots in an order of its own that only its identity gives, in turns, as many
// as its weight claims; so a change of the members moves few slots of the others. It covers every
// candidate with weight > 0 whatever its state: who may not be picked now is passed over by the
// walk, which moves nobody else, and the table is built again only when identities, weights or
// their order change. The size is one of two primes, and all flows move when a list outgrows the
// first: 16,411 slots (32 KiB) for up to 164 candidates, 65,537 beyond. The order of the list does
// not matter to who owns what. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/balance/candidate.hpp"

namespace lb::balance {

class MaglevTable {
 public:
  // True when it was built again.
  bool refresh(std::span<const Candidate> candidates);

  uint32_t size() const { return uint32_t(owners_.size()); }  // 0: nobody has weight
  size_t owner(uint32_t slot) const { return owners_[slot]; }

 private:
  struct Known {
    uint64_t identity;
    uint16_t weight;
  };
  struct Member;

  bool still_true(std::span<const Candidate> candidates) const;
  void build(std::span<const Candidate> candidates);
  void fill(std::vector<Member>& members);

  std::vector<Known> known_;
  std::vector<uint16_t> owners_;
};

}  // namespace lb::balance
