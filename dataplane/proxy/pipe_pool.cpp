#include "dataplane/proxy/pipe_pool.hpp"

#include <fcntl.h>

namespace lb::proxy {
namespace {

constexpr int kSizes[] = {1 << 20, 256 << 10, 64 << 10};
constexpr int kSmallest = 64 << 10;
constexpr size_t kIdleLimit = 64;  // what one worker may keep of the user's quota

bool grow(const Pipe& pipe) {
  for (const int size : kSizes) {
    if (fcntl(pipe.write_end.get(), F_SETPIPE_SZ, size) >= kSmallest) return true;
  }
  return fcntl(pipe.write_end.get(), F_GETPIPE_SZ) >= kSmallest;
}

}  // namespace

std::unique_ptr<Pipe> PipePool::take() {
  if (!idle_.empty()) {
    auto pipe = std::move(idle_.back());
    idle_.pop_back();
    return pipe;
  }
  int ends[2];
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) {
    ++fallbacks_;
    return nullptr;
  }
  auto pipe = std::make_unique<Pipe>(Pipe{net::Fd(ends[0]), net::Fd(ends[1])});
  if (grow(*pipe)) return pipe;
  ++fallbacks_;
  return nullptr;
}

void PipePool::give_back(std::unique_ptr<Pipe> pipe) {
  if (pipe && pipe->held == 0 && idle_.size() < kIdleLimit) idle_.push_back(std::move(pipe));
}

}  // namespace lb::proxy
