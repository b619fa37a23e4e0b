#include "dataplane/proxy/source_limits.hpp"

#include <utility>

namespace lb::proxy {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

uint64_t to_ns(uint64_t ms) { return ms * 1'000'000; }
uint64_t token_ns(uint32_t rate) { return std::max<uint64_t>(1, kSecond / rate); }

void add(SourceLimitsCounts& sum, const SourceLimitsCounts& shard) {
  sum.too_many_connections += shard.too_many_connections;
  sum.too_fast += shard.too_fast;
  sum.table_full += shard.table_full;
  sum.evicted += shard.evicted;
  sum.evicted_early += shard.evicted_early;
  sum.unmatched_leaves += shard.unmatched_leaves;
}

}  // namespace

SourceLimits::SourceLimits(size_t max_sources, const HashSeed& seed,
                           std::shared_ptr<SourceTotals> totals)
    : table_(max_sources, seed),
      totals_(totals ? std::move(totals) : std::make_shared<SourceTotals>()) {}

// A full bucket is worth one second whatever the rate, so the time at which it will be full says
// how full it is, and survives a change of the rate.
Admit SourceLimits::judge(const Source& source, const ShardCounts& shard, const Limits& limits) {
  const uint32_t most = limits.max_connections_per_source;
  if (most != 0 && source.connections >= most) return Admit::kTooManyConnections;
  const uint32_t rate = limits.max_rate_per_source;
  if (rate == 0 || source.full_at_ns <= shard.now_ns) return Admit::kYes;
  const uint64_t used = source.full_at_ns - shard.now_ns;
  return used + token_ns(rate) > kSecond ? Admit::kTooFast : Admit::kYes;
}

bool SourceLimits::make_room(Table::Map& map, ShardCounts& shard) {
  Table::Entry* oldest = map.oldest();
  if (oldest == nullptr) return false;
  const bool early = oldest->value.full_at_ns > shard.now_ns;
  ++shard.evicted;
  shard.evicted_early += early;
  ++totals_->limits_evicted;
  totals_->limits_evicted_early += early;
  map.erase(*oldest);
  return true;
}

SourceLimits::Table::Entry* SourceLimits::find_or_make(Table::Map& map, ShardCounts& shard,
                                                       const SourceKey& key, uint64_t hash) {
  if (Table::Entry* found = map.find(key, hash)) return found;
  if (table_.full(map) && !make_room(map, shard)) return nullptr;
  return &map.insert(key, hash);
}

Admit SourceLimits::enter(const IpAddress& source, uint64_t now_ms, const Limits& limits) {
  const SourceKey key = key_of_source(source);
  return table_.with(key, [&](Table::Map& map, ShardCounts& shard, uint64_t hash) {
    shard.now_ns = std::max(shard.now_ns, to_ns(now_ms));
    Table::Entry* entry = find_or_make(map, shard, key, hash);
    if (entry == nullptr) {
      ++shard.table_full;
      ++totals_->limits_full;
      return Admit::kTooManyConnections;
    }
    Source& state = entry->value;
    const Admit verdict = judge(state, shard, limits);
    if (verdict == Admit::kTooFast) ++shard.too_fast;
    if (verdict == Admit::kTooManyConnections) ++shard.too_many_connections;
    if (verdict != Admit::kYes) return verdict;
    ++state.connections;
    map.take_out(*entry);
    if (limits.max_rate_per_source != 0) {
      const uint64_t start = std::max(state.full_at_ns, shard.now_ns);
      state.full_at_ns = start + token_ns(limits.max_rate_per_source);
    }
    return verdict;
  });
}

void SourceLimits::leave(const IpAddress& source) {
  const SourceKey key = key_of_source(source);
  table_.with(key, [&](Table::Map& map, ShardCounts& shard, uint64_t hash) {
    Table::Entry* entry = map.find(key, hash);
    if (entry == nullptr || entry->value.connections == 0) {
      ++shard.unmatched_leaves;
      return;
    }
    if (--entry->value.connections != 0) return;
    if (entry->value.full_at_ns <= shard.now_ns) {
      map.erase(*entry);
    } else {
      map.to_newest(*entry);
    }
  });
}

size_t SourceLimits::sweep(uint64_t now_ms, size_t budget) {
  return table_.sweep(budget, [now_ns = to_ns(now_ms)](const Source& source) {
    return source.full_at_ns <= now_ns;
  });
}

uint32_t SourceLimits::connections(const IpAddress& source) {
  const SourceKey key = key_of_source(source);
  return table_.with(key, [&](Table::Map& map, ShardCounts&, uint64_t hash) {
    const Table::Entry* entry = map.find(key, hash);
    return entry == nullptr ? 0 : entry->value.connections;
  });
}

SourceLimitsCounts SourceLimits::counts() {
  SourceLimitsCounts sum;
  table_.for_each([&](Table::Map&, const ShardCounts& shard) { add(sum, shard); });
  return sum;
}

}  // namespace lb::proxy
