// One shard of a per-source table: finds an entry by key, and keeps those entries that may go in
// the order in which they should go.
//
// An entry is either in that order (to_newest()) or out of it (take_out()), which is how a new one
// starts. Entries live in blocks that never move, so a reference is good until the entry is erased
// or the shard compacted. Not thread-safe: the table's lock guards it. `Value` is a small trivial
// struct.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "dataplane/proxy/source_key.hpp"

namespace lb::proxy {

template <class Value>
class SourceShard {
 public:
  struct Entry {
    SourceKey key;
    Value value{};

   private:
    friend class SourceShard;
    uint32_t hash_ = 0;
    uint32_t chain_ = kNone;  // the next one of the same bucket, or the next free one
    uint32_t older_ = kOut;
    uint32_t newer_ = kNone;
  };
  static_assert(std::is_trivially_copyable_v<Value>);

  size_t size() const { return size_; }
  size_t capacity() const { return blocks_.size() * kBlock; }

  Entry* find(const SourceKey& key, uint64_t hash) {
    if (buckets_.empty()) return nullptr;
    for (uint32_t i = buckets_[hash & mask()]; i != kNone; i = at(i).chain_) {
      if (at(i).key == key) return &at(i);
    }
    return nullptr;
  }

  // `key` must not be in the shard. The value is as constructed.
  Entry& insert(const SourceKey& key, uint64_t hash) {
    if (free_ == kNone) add_block();
    if (size_ == buckets_.size()) spread();
    const uint32_t index = free_;
    Entry& entry = at(index);
    free_ = entry.chain_;
    entry = Entry{};
    entry.key = key;
    entry.hash_ = static_cast<uint32_t>(hash);
    hang(index);
    ++size_;
    return entry;
  }

  void erase(Entry& entry) {
    take_out(entry);
    uint32_t* link = &buckets_[entry.hash_ & mask()];
    while (&at(*link) != &entry) link = &at(*link).chain_;
    const uint32_t index = *link;
    *link = entry.chain_;
    give_back(index);
    --size_;
  }

  Entry* oldest() { return oldest_ == kNone ? nullptr : &at(oldest_); }

  void to_newest(Entry& entry) {
    if (newest_ != kNone && &at(newest_) == &entry) return;
    const uint32_t index = index_of(entry);
    take_out(entry);
    entry.older_ = newest_;
    entry.newer_ = kNone;
    (newest_ == kNone ? oldest_ : at(newest_).newer_) = index;
    newest_ = index;
  }

  void take_out(Entry& entry) {
    if (entry.older_ == kOut) return;
    (entry.older_ == kNone ? oldest_ : at(entry.older_).newer_) = entry.newer_;
    (entry.newer_ == kNone ? newest_ : at(entry.newer_).older_) = entry.older_;
    entry.older_ = kOut;
  }

  // Erases those of the slots [first, first + count) that `doomed(const Entry&)` picks; returns how
  // many. Slots go from 0 to capacity().
  template <class Doomed>
  size_t erase_if(size_t first, size_t count, const Doomed& doomed) {
    size_t erased = 0;
    for (size_t i = first; i < first + count && i < capacity(); ++i) {
      Entry& entry = at(static_cast<uint32_t>(i));
      if (entry.older_ == kFree || !doomed(entry)) continue;
      erase(entry);
      ++erased;
    }
    return erased;
  }

  // Gives memory back when hardly any of it is in use. Costs time for each entry that is left. Not
  // part of erase(), or one client that comes and goes would allocate each time.
  void compact() {
    if (size_ == 0) *this = SourceShard();
    if (capacity() < kWorthIt || size_ * 8 > capacity()) return;
    SourceShard packed;
    for (uint32_t i = oldest_; i != kNone; i = at(i).newer_) packed.to_newest(packed.copy(at(i)));
    for (uint32_t i = 0; i < capacity(); ++i) {
      if (at(i).older_ == kOut) packed.copy(at(i));
    }
    *this = std::move(packed);
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;      // the end of a list
  static constexpr uint32_t kOut = UINT32_MAX - 1;   // in `older_`: not in the order
  static constexpr uint32_t kFree = UINT32_MAX - 2;  // in `older_`: not in use
  static constexpr size_t kBlock = 32;
  static constexpr size_t kWorthIt = 1024;

  Entry& at(uint32_t index) { return blocks_[index / kBlock][index % kBlock]; }
  size_t mask() const { return buckets_.size() - 1; }

  uint32_t index_of(const Entry& entry) {
    uint32_t i = buckets_[entry.hash_ & mask()];
    while (&at(i) != &entry) i = at(i).chain_;
    return i;
  }

  Entry& copy(const Entry& entry) {
    Entry& out = insert(entry.key, entry.hash_);
    out.value = entry.value;
    return out;
  }

  void hang(uint32_t index) {
    uint32_t& bucket = buckets_[at(index).hash_ & mask()];
    at(index).chain_ = bucket;
    bucket = index;
  }

  void give_back(uint32_t index) {
    at(index).older_ = kFree;
    at(index).chain_ = free_;
    free_ = index;
  }

  void add_block() {
    const auto begin = static_cast<uint32_t>(capacity());
    blocks_.push_back(std::make_unique<Entry[]>(kBlock));
    for (uint32_t i = kBlock; i-- > 0;) give_back(begin + i);
  }

  void spread() {
    buckets_.assign(buckets_.empty() ? kBlock : buckets_.size() * 2, kNone);
    for (uint32_t i = 0; i < capacity(); ++i) {
      if (at(i).older_ != kFree) hang(i);
    }
  }

  std::vector<std::unique_ptr<Entry[]>> blocks_;
  std::vector<uint32_t> buckets_;  // a power of two, at least as many as entries
  size_t size_ = 0;
  uint32_t free_ = kNone;
  uint32_t oldest_ = kNone;
  uint32_t newest_ = kNone;
};

}  // namespace lb::proxy
