// The balancing policies: which backend a new connection goes to.
//
// One Picker per worker and listener, used by one thread at a time; it remembers only what its
// policy needs between picks. Pure: time, randomness and the client come in as values. Who may be
// picked at all is the same for every policy, see selection.hpp. A pick allocates nothing, except
// when the list has changed (its length; for Maglev also identities, weights or their order).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/balance/candidate.hpp"

namespace lb::balance {

struct PickInput {
  uint64_t client_hash = 0;  // Maglev: hash_of(client, seed)
  uint64_t random = 0;       // random_two: 64 fresh random bits
  // Groups alone, see grouped.hpp: who asks, where its group shall be the same each time; and the
  // group that it has before all others.
  std::optional<uint64_t> sticky_hash = {};
  std::optional<uint16_t> group = {};
};

struct PickOptions {
  uint32_t panic_percent = 0;  // 0 to 100
  bool prefer_near = false;
};

class Picker {
 public:
  virtual ~Picker() = default;

  // Index into `candidates`, or nullopt when nobody is left.
  virtual std::optional<size_t> pick(std::span<const Candidate> candidates, const PickInput& input,
                                     const PickOptions& options) = 0;
};

// A group of backends, which Candidate::group counts from 0.
struct GroupShare {
  uint64_t identity = 0;  // hash_of(its name)
  uint16_t weight = 1;    // 0: it gets nobody, but for whom PickInput::group says

  bool operator==(const GroupShare&) const = default;
};

// `offset` keeps the workers of a listener from starting at the same backend. With groups the
// policy holds within each of them; see grouped.hpp.
std::unique_ptr<Picker> make_picker(Balance policy, size_t offset,
                                    std::span<const GroupShare> groups = {});

// What pick() must be given beside the configured list, so that callers fill in no more.
inline bool needs_connections(Balance policy) { return policy != Balance::kRoundRobin; }
inline bool needs_client_hash(Balance policy) { return policy == Balance::kMaglev; }
inline bool needs_random(Balance policy) { return policy == Balance::kRandomTwo; }

}  // namespace lb::balance
