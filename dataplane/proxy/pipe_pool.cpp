#include "dataplane/proxy/pipe_pool.hpp"

#include <fcntl.h>

#include <algorithm>

namespace lb::proxy {
namespace {

constexpr int kSizes[] = {1 << 20, 256 << 10, 64 << 10};
constexpr int kSmallest = 64 << 10;

bool grow(const Pipe& pipe) {
  for (const int size : kSizes) {
    if (fcntl(pipe.write_end.get(), F_SETPIPE_SZ, size) >= kSmallest) return true;
  }
  return fcntl(pipe.write_end.get(), F_GETPIPE_SZ) >= kSmallest;
}

}  // namespace

// Room for all that may be idle, so that giving back needs no memory.
PipePool::PipePool(PipeLimits limits) : limits_(limits) { idle_.reserve(limits.idle); }

std::unique_ptr<Pipe> PipePool::take() {
  std::unique_ptr<Pipe> pipe;
  if (!idle_.empty()) {
    pipe = std::move(idle_.back());
    idle_.pop_back();
  } else if (skips_ > 0) {
    --skips_;
  } else if (lent_ < limits_.pipes) {
    pipe = make();
    if (!pipe) skips_ = kSkips;
  }
  ++(pipe ? lent_ : fallbacks_);
  return pipe;
}

std::unique_ptr<Pipe> PipePool::make() {
  int ends[2];
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return nullptr;
  Pipe pipe{net::Fd(ends[0]), net::Fd(ends[1])};
  if (std::max(ends[0], ends[1]) >= limits_.descriptor_line || !grow(pipe)) return nullptr;
  return std::make_unique<Pipe>(std::move(pipe));
}

void PipePool::give_back(std::unique_ptr<Pipe> pipe) {
  if (!pipe) return;
  --lent_;
  if (pipe->held == 0 && idle_.size() < limits_.idle) idle_.push_back(std::move(pipe));
}

void PipePool::release_idle() { idle_.clear(); }

}  // namespace lb::proxy
