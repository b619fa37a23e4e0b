// The addresses that another process of this machine holds while a keepalived of ours starts.
//
// A keepalived that starts takes the addresses it is to manage off the interface, and the one that
// holds them puts them back some milliseconds later: long enough to lose connections. So ours
// starts without those that are there. They are left out of its configuration until all of their
// routers are ours; then one reload adds them, which leaves an address that is there where it is.
// Until then the other keepalived holds them, and takes up those of a machine that fails.
//
// Owned by the announcer, on the control thread. Pure but for memory, whose want is thrown and
// changes nothing.
#pragma once

#include <chrono>
#include <functional>
#include <set>

#include "common/model/address.hpp"

namespace lb::announce {

class FoundAddresses {
 public:
  using Clock = std::chrono::steady_clock;

  // What is on the machine before our keepalived starts; the other one is gone at `until`.
  void take(std::set<IpAddress> present, Clock::time_point until);
  // Those of `wanted` that keepalived may be told of now.
  std::set<IpAddress> without(std::set<IpAddress> wanted) const;

  enum class Outcome : uint8_t { kWaiting, kOurs, kLate };
  // Whether keepalived may be told of all of them: each of `wanted` that is still `present` is
  // `held` by us (kOurs), or nobody else is left (kLate). Does not wait any more from then on.
  Outcome settle(const std::set<IpAddress>& wanted, const std::set<IpAddress>& present,
                 const std::function<bool(const IpAddress&)>& held, Clock::time_point now);
  bool waiting() const { return !found_.empty(); }

 private:
  std::set<IpAddress> found_;
  Clock::time_point until_;
};

}  // namespace lb::announce
