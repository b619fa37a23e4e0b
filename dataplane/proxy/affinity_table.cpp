#include "dataplane/proxy/affinity_table.hpp"

#include <utility>

namespace lb::proxy {

AffinityTable::AffinityTable(size_t max_sources, const HashSeed& seed,
                             std::shared_ptr<SourceTotals> totals)
    : table_(max_sources, seed),
      totals_(totals ? std::move(totals) : std::make_shared<SourceTotals>()) {}

std::optional<Endpoint> AffinityTable::find(const IpAddress& source, uint64_t now_ms) {
  const SourceKey key = key_of_address(source);
  return table_.with(key,
                     [&](Table::Map& map, ShardCounts&, uint64_t hash) -> std::optional<Endpoint> {
                       Table::Entry* entry = map.find(key, hash);
                       if (entry == nullptr) return std::nullopt;
                       Memory& memory = entry->value;
                       if (memory.expires_ms <= now_ms) {
                         map.erase(*entry);
                         return std::nullopt;
                       }
                       memory.expires_ms = std::max(memory.expires_ms, now_ms + memory.timeout_ms);
                       map.to_newest(*entry);
                       return memory.backend;
                     });
}

AffinityTable::Table::Entry& AffinityTable::find_or_make(Table::Map& map, ShardCounts& shard,
                                                         const SourceKey& key, uint64_t hash) {
  if (Table::Entry* found = map.find(key, hash)) return *found;
  if (table_.full(map)) {
    ++shard.evicted;
    ++totals_->affinity_evicted;
    map.erase(*map.oldest());
  }
  return map.insert(key, hash);
}

void AffinityTable::remember(const IpAddress& source, const Endpoint& backend, uint64_t now_ms,
                             uint64_t timeout_ms) {
  const auto timeout = static_cast<uint32_t>(std::min<uint64_t>(timeout_ms, UINT32_MAX));
  const SourceKey key = key_of_address(source);
  table_.with(key, [&](Table::Map& map, ShardCounts& shard, uint64_t hash) {
    Table::Entry& entry = find_or_make(map, shard, key, hash);
    entry.value = {backend, timeout, now_ms + timeout};
    map.to_newest(entry);
  });
}

size_t AffinityTable::forget(const Endpoint& backend) {
  return table_.erase_if([&](const Table::Entry& entry) { return entry.value.backend == backend; });
}

size_t AffinityTable::sweep(uint64_t now_ms, size_t budget) {
  return table_.sweep(budget,
                      [now_ms](const Memory& memory) { return memory.expires_ms <= now_ms; });
}

uint64_t AffinityTable::evicted() {
  uint64_t sum = 0;
  table_.for_each([&](Table::Map&, const ShardCounts& shard) { sum += shard.evicted; });
  return sum;
}

}  // namespace lb::proxy
