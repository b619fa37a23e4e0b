#include "controller/core/pool_set.hpp"

#include <algorithm>
#include <tuple>

namespace lb::plan {
namespace {

bool overlap(const AddressRange& a, const AddressRange& b) {
  return a.first.family() == b.first.family() && a.first <= b.last && b.first <= a.last;
}

}  // namespace

PoolSet::PoolSet(std::vector<Pool> pools) : pools_(std::move(pools)) {
  std::sort(pools_.begin(), pools_.end(), [](const Pool& a, const Pool& b) {
    return std::tie(a.creation_time, a.name) < std::tie(b.creation_time, b.name);
  });
  for (const Pool& pool : pools_) {
    for (const auto& range : pool.ranges) cursors_[pool.name].push_back({range, range.first, {}});
  }
}

const Pool* PoolSet::owner(const IpAddress& address) const {
  const auto found = std::find_if(pools_.begin(), pools_.end(),
                                  [&](const Pool& pool) { return pool.contains(address); });
  return found == pools_.end() ? nullptr : &*found;
}

bool PoolSet::has(Family family) const {
  return std::any_of(pools_.begin(), pools_.end(),
                     [&](const Pool& pool) { return pool.has(family); });
}

std::vector<const Pool*> PoolSet::automatic(const Applicant& who, Family family) const {
  std::vector<const Pool*> out;
  for (const Pool& pool : pools_) {
    // Whoever names a pool has chosen it: auto-assignment is for those that name none.
    const bool offered = pool.auto_assign || !who.pool.empty();
    if (offered && pool.has(family) && pool.admits(who)) out.push_back(&pool);
  }
  std::sort(out.begin(), out.end(), [](const Pool* a, const Pool* b) {
    return std::tie(b->priority, a->name) < std::tie(a->priority, b->name);
  });
  return out;
}

std::optional<IpAddress> PoolSet::next_in(Cursor& cursor, const Pool& pool, const IsFree& free) {
  const auto good = [&](const IpAddress& address) {
    ++steps_;
    return free(address) && !pool.avoids(address) && owner(address) == &pool;
  };
  while (!cursor.behind.empty()) {
    const IpAddress lowest = *cursor.behind.begin();
    if (good(lowest)) return lowest;
    cursor.behind.erase(cursor.behind.begin());
  }
  while (cursor.next && *cursor.next <= cursor.range.last) {
    if (good(*cursor.next)) return cursor.next;
    cursor.next = cursor.next->next();
  }
  return std::nullopt;
}

std::optional<IpAddress> PoolSet::next_free(const Pool& pool, Family family, const IsFree& free) {
  const auto cursors = cursors_.find(pool.name);
  if (cursors == cursors_.end()) return std::nullopt;
  for (Cursor& cursor : cursors->second) {
    if (cursor.range.first.family() != family) continue;
    if (const auto found = next_in(cursor, pool, free)) return found;
  }
  return std::nullopt;
}

void PoolSet::freed(const IpAddress& address) {
  const Pool* pool = owner(address);
  if (pool == nullptr) return;
  for (Cursor& cursor : cursors_.at(pool->name)) {
    if (!cursor.range.contains(address)) continue;
    if (!cursor.next || address < *cursor.next) cursor.behind.insert(address);
  }
}

std::set<std::string> PoolSet::overlapped(const Pool& pool) const {
  std::set<std::string> out;
  for (const Pool& older : pools_) {
    if (older.name == pool.name) break;
    for (const auto& a : older.ranges) {
      for (const auto& b : pool.ranges) {
        if (overlap(a, b)) out.insert(older.name);
      }
    }
  }
  return out;
}

}  // namespace lb::plan
