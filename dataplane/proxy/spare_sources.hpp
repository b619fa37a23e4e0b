// Addresses of this host that backends may be dialled from when the routed one has no port left,
// and which of them are passed over because they are announced: a connection from such an address
// would end when the address moves, and its answers would go to whoever has the address then.
//
// Made once and shared by all engines. avoid() and avoided() are the control thread's; everything
// else is any thread's. An engine that dials at the same moment may still take one; avoid() comes
// before the address is on the network. Nothing throws but std::bad_alloc, out of the constructor.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <set>
#include <vector>

#include "common/model/address.hpp"

namespace lb::proxy {

class SpareSources {
 public:
  explicit SpareSources(const std::vector<IpAddress>& addresses = {}) {
    for (const auto& address : addresses) all_.emplace_back(address);
  }

  size_t size() const { return all_.size(); }
  const IpAddress& address(size_t i) const { return all_[i].address; }
  bool usable(size_t i) const { return !all_[i].avoided.load(std::memory_order_relaxed); }

  // Passes over those of them that are in `ours` and over no others; `changed` hears of each that
  // was used before and is not now (true), or the other way round.
  void avoid(const std::set<IpAddress>& ours,
             const std::function<void(const IpAddress&, bool avoided)>& changed);
  size_t avoided() const;

 private:
  struct Each {
    explicit Each(const IpAddress& its_address) : address(its_address) {}
    const IpAddress address;
    std::atomic<bool> avoided{false};
  };

  std::deque<Each> all_;
};

}  // namespace lb::proxy
