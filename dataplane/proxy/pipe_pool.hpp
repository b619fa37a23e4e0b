// Pipes for splice(2), lent to a direction only while it holds bytes.
//
// One pool per worker, used by its thread only. A pipe that comes back with bytes in it is
// destroyed, so that no connection ever reads another's. Asks for 1 MiB, and takes 256 KiB or
// 64 KiB where the per-user quota (pipe(7), pipe-user-pages-soft) says no; smaller pipes are
// refused, for they would hold less than one segment each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/net/fd.hpp"

namespace lb::proxy {

struct Pipe {
  net::Fd read_end;
  net::Fd write_end;
  size_t held = 0;  // bytes inside
};

class PipePool {
 public:
  std::unique_ptr<Pipe> take();  // null: no pipe to be had, copy instead
  void give_back(std::unique_ptr<Pipe> pipe);
  uint64_t fallbacks() const { return fallbacks_; }

 private:
  std::vector<std::unique_ptr<Pipe>> idle_;
  uint64_t fallbacks_ = 0;
};

}  // namespace lb::proxy
