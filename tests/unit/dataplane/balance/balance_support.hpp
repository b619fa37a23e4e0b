// What the tests of the balancing policies share: a seed that repeats a failing run, lists of
// candidates, and a simulation of connections that open and end. Single-threaded.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "dataplane/balance/hash.hpp"
#include "dataplane/balance/picker.hpp"
#include "tests/support/seed.hpp"

namespace lb::balance {

using Random = std::mt19937_64;
using Candidates = std::vector<Candidate>;
using Counts = std::vector<uint32_t>;

using test::seed;

inline constexpr int kPicks = 100'000;

inline std::string seed_text(uint32_t start) { return "EMPALME_SEED=" + std::to_string(start); }

inline constexpr Balance kPolicies[] = {Balance::kRoundRobin, Balance::kLeastConnections,
                                        Balance::kRandomTwo, Balance::kMaglev};

inline Endpoint backend(uint32_t number) { return {IpAddress::v4(0x0a000000 + number), 8080}; }

// One for each weight, with identities as of 10.0.0.x:8080 from `first` on.
inline Candidates with_weights(const std::vector<uint16_t>& weights, uint32_t first = 1) {
  Candidates out;
  for (const uint16_t weight : weights) {
    out.push_back({.weight = weight, .identity = hash_of(backend(first++))});
  }
  return out;
}

inline Candidates equals(size_t count, uint32_t first = 1) {
  return with_weights(std::vector<uint16_t>(count, 1), first);
}

inline PickInput random_input(Random& random) { return {random(), random()}; }

// Picks without opening connections.
inline Counts shares(Picker& picker, const Candidates& candidates, int picks, Random& random,
                     const PickOptions& options = {}) {
  Counts out(candidates.size());
  for (int i = 0; i < picks; ++i) {
    const auto picked = picker.pick(candidates, random_input(random), options);
    if (picked) ++out[*picked];
  }
  return out;
}

// Each pick opens a connection; while more than `open` are, one of them at random ends.
inline Counts shares_under_load(Picker& picker, Candidates candidates, int picks, size_t open,
                                Random& random) {
  Counts out(candidates.size());
  std::vector<size_t> connections;
  for (int i = 0; i < picks; ++i) {
    const auto picked = picker.pick(candidates, random_input(random), {});
    if (!picked) return out;
    ++out[*picked];
    ++candidates[*picked].connections;
    connections.push_back(*picked);
    if (connections.size() <= open) continue;
    std::swap(connections[random() % connections.size()], connections.back());
    --candidates[connections.back()].connections;
    connections.pop_back();
  }
  return out;
}

}  // namespace lb::balance
