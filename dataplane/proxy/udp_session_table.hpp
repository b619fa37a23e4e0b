// Finds the session of a datagram: open addressing, linear probing, at most half full.
//
// Points at sessions and owns none; each must be erased before it dies. Grows by doubling (16
// bytes a slot) and never shrinks; find() and erase() do no heap work. One thread.
#pragma once

#include <cstddef>
#include <vector>

#include "dataplane/proxy/udp_key.hpp"

namespace lb::proxy {

struct UdpSession;

class UdpSessionTable {
 public:
  explicit UdpSessionTable(const UdpHashSeed& seed = process_udp_seed());

  UdpSession* find(const UdpKey& key) const;  // null: nobody's
  void insert(UdpSession& session);           // its key must not be in the table yet
  // After it, one insert() needs no memory.
  void reserve_one() {
    if ((size_ + 1) * 2 > slots_.size()) grow();
  }
  void erase(const UdpSession& session);
  size_t size() const { return size_; }
  // Calls visit(UdpSession&) with each without asking for memory. It may erase that one and no
  // other, must not insert, and may meet one twice.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (size_t i = 0; i < slots_.size();) {
      UdpSession* const session = slots_[i].session;
      if (session != nullptr) visit(*session);
      // Where one was erased, the next may have taken its place.
      if (session == nullptr || slots_[i].session == session) ++i;
    }
  }

 private:
  struct Slot {
    uint64_t hash = 0;
    UdpSession* session = nullptr;
  };

  void place(Slot slot);
  void grow();
  void close_gap(size_t gap);

  UdpHashSeed seed_;
  std::vector<Slot> slots_;
  size_t mask_;
  size_t size_ = 0;
};

}  // namespace lb::proxy
