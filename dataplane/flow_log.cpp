#include "dataplane/flow_log.hpp"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

namespace lb::dataplane {
namespace {

constexpr size_t kMaxWaiting = 8 << 20;
constexpr std::chrono::milliseconds kGather{50};

void write_all(int fd, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::write(fd, text.data() + done, text.size() - done);
    // Nothing sensible can be done about a log that cannot be written.
    if (n < 0 && errno != EINTR) return;
    if (n > 0) done += static_cast<size_t>(n);
  }
}

}  // namespace

FlowLog::FlowLog(int fd) : fd_(fd), thread_([this] { run(); }) {}

FlowLog::~FlowLog() { stop(); }

void FlowLog::write(const std::string& line) {
  const std::lock_guard lock(mutex_);
  if (waiting_.size() + line.size() > kMaxWaiting) {
    ++dropped_;
    return;
  }
  ++lines_;
  waiting_ += line;
  waiting_ += '\n';
}

void FlowLog::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void FlowLog::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait_for(lock, kGather, [this] { return stopping_; });
    const std::string lines = std::exchange(waiting_, {});
    const bool last = stopping_;
    lock.unlock();
    write_all(fd_, lines);
    if (last) return;
    lock.lock();
  }
}

}  // namespace lb::dataplane
