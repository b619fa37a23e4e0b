// Addresses on an interface, through rtnetlink(7). Synchronous; microseconds each. One thread.
//
// Ours are /32 or /128 with a short lifetime, no prefix route, no duplicate detection by the
// kernel, never preferred, and marked as ours. Errors: "PermissionDenied" (CAP_NET_ADMIN is
// missing), "NoInterface", else "Netlink" with the system's reason.
#pragma once

#include <cstdint>
#include <vector>

#include "common/model/address.hpp"
#include "common/model/result.hpp"
#include "common/net/fd.hpp"

namespace lb::announce {

struct LocalAddress {
  int interface = 0;
  IpAddress address;
  bool ours = false;
};

class Rtnetlink {
 public:
  static Result<Rtnetlink> open();

  // Adds the address, or renews the one that is there.
  Status put(int interface, const IpAddress& address, uint32_t valid_seconds);
  // An address that is not there is no error.
  Status remove(int interface, const IpAddress& address);
  Result<std::vector<LocalAddress>> list();

 private:
  explicit Rtnetlink(net::Fd socket) : socket_(std::move(socket)) {}

  template <class Take>
  Status receive(uint32_t sequence, Take take);
  Status exchange(const void* request, size_t length, uint32_t sequence);

  net::Fd socket_;
  uint32_t sequence_ = 0;
};

}  // namespace lb::announce
