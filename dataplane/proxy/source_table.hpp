// What the per-source tables have in common: kShards shards picked by a keyed hash, each under a
// mutex of its own, and a hard bound on the number of sources.
//
// Any thread. A lock is held for one look-up, insertion or removal; rarely (a shard doubles its
// buckets, or sweep() packs one) for some microseconds. `Counts` is what the user keeps for each
// shard, under the same lock. The hash has 64 bits: the top six pick the shard, the low ones the
// bucket.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <vector>

#include "dataplane/proxy/source_shard.hpp"

namespace lb::proxy {

inline constexpr size_t kMaxSources = 1'000'000;

template <class Value, class Counts>
class SourceTable {
 public:
  static constexpr size_t kShards = 64;
  using Map = SourceShard<Value>;
  using Entry = typename Map::Entry;

  // The bound is split evenly: at least one source a shard, and never more than `max_sources` in
  // all if that is 64 or more.
  SourceTable(size_t max_sources, const HashSeed& seed)
      : per_shard_(std::max<size_t>(1, max_sources / kShards)), seed_(seed) {}

  // Calls use(map, counts, hash) under the lock of the key's shard.
  template <class Use>
  auto with(const SourceKey& key, const Use& use) {
    const uint64_t hash = hash_of(key, seed_);
    Shard& shard = shards_[hash >> 58];
    const std::lock_guard lock(shard.mutex);
    return use(shard.map, shard.counts, hash);
  }

  // Calls use(map, counts) for each shard in turn, under its lock.
  template <class Use>
  void for_each(const Use& use) {
    for (Shard& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      use(shard.map, shard.counts);
    }
  }

  bool full(const Map& map) const { return map.size() >= per_shard_; }

  size_t size() {
    size_t sum = 0;
    for_each([&](Map& map, Counts&) { sum += map.size(); });
    return sum;
  }

  // How many sources each shard holds.
  std::vector<size_t> spread() {
    std::vector<size_t> out;
    for_each([&](Map& map, Counts&) { out.push_back(map.size()); });
    return out;
  }

  // Erases from the old end of each shard's order while `gone(const Value&)`, at most `budget`
  // entries; the next call goes on where this one ended. Returns how many.
  template <class Gone>
  size_t sweep(size_t budget, const Gone& gone) {
    size_t erased = 0;
    for (size_t i = 0; i < kShards && erased < budget; ++i) {
      const size_t index = next_.fetch_add(1, std::memory_order_relaxed) % kShards;
      erased += sweep_shard(shards_[index], budget - erased, gone);
    }
    return erased;
  }

  // Erases what `doomed(const Entry&)` picks, wherever it stands; slow, but never holds a lock for
  // more than kStep slots.
  template <class Doomed>
  size_t erase_if(const Doomed& doomed) {
    size_t erased = 0;
    for (Shard& shard : shards_) {
      for (size_t first = 0, end = 1; first < end; first += kStep) {
        const std::lock_guard lock(shard.mutex);
        erased += shard.map.erase_if(first, kStep, doomed);
        end = shard.map.capacity();
      }
    }
    return erased;
  }

 private:
  static constexpr size_t kStep = 512;

  struct alignas(64) Shard {
    std::mutex mutex;
    Map map;
    Counts counts;
  };

  // In small steps, so that a worker which accepts never waits for a long sweep.
  template <class Gone>
  static size_t sweep_shard(Shard& shard, size_t budget, const Gone& gone) {
    constexpr size_t kAtOnce = 16;
    size_t erased = 0;
    for (bool more = true; more && erased < budget;) {
      const std::lock_guard lock(shard.mutex);
      const size_t limit = std::min(budget, erased + kAtOnce);
      Entry* oldest = shard.map.oldest();
      for (; erased < limit && oldest != nullptr && gone(oldest->value); ++erased) {
        shard.map.erase(*oldest);
        oldest = shard.map.oldest();
      }
      more = oldest != nullptr && gone(oldest->value);
      if (!more) shard.map.compact();
    }
    return erased;
  }

  const size_t per_shard_;
  const HashSeed seed_;
  std::array<Shard, kShards> shards_;
  std::atomic<size_t> next_{0};
};

}  // namespace lb::proxy
