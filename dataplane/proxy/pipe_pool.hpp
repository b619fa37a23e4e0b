// Pipes for splice(2), lent to a direction only while it holds bytes.
//
// One pool per worker, used by its thread only. A pipe that comes back with bytes in it is
// destroyed, so that no connection ever reads another's. Asks for 1 MiB, and takes 256 KiB or
// 64 KiB where the per-user quota (pipe(7), pipe-user-pages-soft) says no; smaller pipes are
// refused, for they would hold less than one segment each. So are those whose descriptors are kept
// for others, and those above the pool's own bound. After a refusal by the kernel the next takes
// are refused without asking it, so that want costs no system calls per read.
#pragma once

#include <climits>
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

struct PipeLimits {
  size_t pipes = 1024;            // of this pool, lent or idle
  size_t idle = 64;               // what it may keep of the user's quota
  int descriptor_line = INT_MAX;  // numbers from here on are not for pipes
};

class PipePool {
 public:
  explicit PipePool(PipeLimits limits = {});

  // Takes that are refused without asking the kernel after it has refused one.
  static constexpr unsigned kSkips = 64;

  std::unique_ptr<Pipe> take();  // null: no pipe to be had, copy instead
  void give_back(std::unique_ptr<Pipe> pipe);
  void release_idle();
  uint64_t fallbacks() const { return fallbacks_; }
  size_t pipes() const { return lent_ + idle_.size(); }

 private:
  std::unique_ptr<Pipe> make();

  PipeLimits limits_;
  std::vector<std::unique_ptr<Pipe>> idle_;
  size_t lent_ = 0;
  unsigned skips_ = 0;
  uint64_t fallbacks_ = 0;
};

}  // namespace lb::proxy
