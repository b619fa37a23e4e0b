#include "dataplane/proxy/udp_session_table.hpp"

#include <utility>

#include "dataplane/proxy/udp_session.hpp"

namespace lb::proxy {
namespace {

constexpr size_t kFirstSlots = 64;

}  // namespace

UdpSessionTable::UdpSessionTable(const UdpHashSeed& seed)
    : seed_(seed), slots_(kFirstSlots), mask_(kFirstSlots - 1) {}

UdpSession* UdpSessionTable::find(const UdpKey& key) const {
  const uint64_t hash = hash_of(key, seed_);
  for (size_t i = hash & mask_; slots_[i].session != nullptr; i = (i + 1) & mask_) {
    if (slots_[i].hash == hash && slots_[i].session->key == key) return slots_[i].session;
  }
  return nullptr;
}

void UdpSessionTable::insert(UdpSession& session) {
  reserve_one();
  place({hash_of(session.key, seed_), &session});
  ++size_;
}

void UdpSessionTable::place(Slot slot) {
  size_t i = slot.hash & mask_;
  while (slots_[i].session != nullptr) i = (i + 1) & mask_;
  slots_[i] = slot;
}

void UdpSessionTable::grow() {
  const auto old = std::exchange(slots_, std::vector<Slot>(slots_.size() * 2));
  mask_ = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.session != nullptr) place(slot);
  }
}

void UdpSessionTable::erase(const UdpSession& session) {
  size_t i = hash_of(session.key, seed_) & mask_;
  while (slots_[i].session != nullptr && slots_[i].session != &session) i = (i + 1) & mask_;
  if (slots_[i].session == nullptr) return;
  close_gap(i);
  --size_;
}

// Pulls back what lies after the gap, up to the next free slot, so that no search stops short of
// what it looks for; tombstones would slow every later search instead.
void UdpSessionTable::close_gap(size_t gap) {
  for (size_t i = (gap + 1) & mask_; slots_[i].session != nullptr; i = (i + 1) & mask_) {
    const size_t home = slots_[i].hash & mask_;
    if (((i - home) & mask_) < ((i - gap) & mask_)) continue;
    slots_[gap] = slots_[i];
    gap = i;
  }
  slots_[gap] = Slot{};
}

}  // namespace lb::proxy
