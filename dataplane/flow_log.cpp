#include "dataplane/flow_log.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <new>
#include <utility>

namespace lb::dataplane {
namespace {

constexpr size_t kMaxWaiting = 8 << 20;
constexpr std::chrono::milliseconds kGather{50};
constexpr std::chrono::seconds kLastPatience{1};
constexpr int kLookMs = 100;

}  // namespace

FlowLog::FlowLog(int fd) : fd_(fd), thread_([this] { run(); }) {}

FlowLog::~FlowLog() { stop(); }

void FlowLog::write(const std::string& line) noexcept {
  const std::lock_guard lock(mutex_);
  const size_t before = waiting_.size();
  if (before + line.size() > kMaxWaiting) return drop();
  try {
    waiting_ += line;
    waiting_ += '\n';
    ++lines_;
  } catch (const std::bad_alloc&) {
    waiting_.resize(before);
    drop();
  }
}

void FlowLog::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) stop_by_ = std::chrono::steady_clock::now() + kLastPatience;
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

// A pipe that has room takes PIPE_BUF without waiting (pipe(7)).
void FlowLog::write_all(const std::string& text) {
  size_t done = 0;
  while (done < text.size() && await_room()) {
    const size_t size = std::min(text.size() - done, size_t{PIPE_BUF});
    const ssize_t n = ::write(fd_, text.data() + done, size);
    // Nothing sensible can be done about a log that cannot be written.
    if (n < 0 && errno != EINTR) break;
    if (n > 0) done += static_cast<size_t>(n);
  }
  dropped_ += static_cast<uint64_t>(
      std::count(text.begin() + static_cast<ptrdiff_t>(done), text.end(), '\n'));
}

// False: it was waited for in vain, and this is the end.
bool FlowLog::await_room() {
  for (;;) {
    pollfd wanted{fd_, POLLOUT, 0};
    if (::poll(&wanted, 1, kLookMs) > 0) return true;
    const std::lock_guard lock(mutex_);
    if (stopping_ && std::chrono::steady_clock::now() >= stop_by_) return false;
  }
}

void FlowLog::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait_for(lock, kGather, [this] { return stopping_; });
    const std::string lines = std::exchange(waiting_, {});
    const bool last = stopping_;
    lock.unlock();
    write_all(lines);
    if (last) return;
    lock.lock();
  }
}

}  // namespace lb::dataplane
