#include "dataplane/proxy/worker_loop.hpp"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>

namespace lb::proxy {
namespace {

// Bits of what RelayEngine::take_roused() tells.
constexpr unsigned kTasks = 0;
constexpr unsigned kDeadline = 1;
constexpr unsigned kDatagrams = 2;

bool has(uint32_t roused, unsigned number) { return (roused >> number & 1) != 0; }

net::Fd made(int fd) {
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "a worker's loop");
  return net::Fd(fd);
}

// Both kinds of descriptor hold a number that reading resets.
void reset_number(const net::Fd& fd) {
  uint64_t number = 0;
  (void)!read(fd.get(), &number, sizeof number);
}

// On CLOCK_MONOTONIC, which is what steady_clock reads. 0 would disarm it.
itimerspec at_ms(uint64_t ms) {
  itimerspec out{};
  out.it_value.tv_sec = time_t(ms / 1000);
  out.it_value.tv_nsec = long(ms % 1000) * 1'000'000 + 1;
  return out;
}

}  // namespace

WorkerLoop::WorkerLoop(RelayEngine& tcp, UdpRelay& udp)
    : tcp_(tcp),
      udp_(udp),
      bell_(made(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC))),
      timer_(made(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC))) {
  tcp_.wait_also_for(bell_.get(), kTasks);
  tcp_.wait_also_for(timer_.get(), kDeadline);
  tcp_.wait_also_for(udp_.descriptor(), kDatagrams);
}

void WorkerLoop::run() {
  while (!tasks_.stopped()) {
    try {
      turn();
    } catch (const std::bad_alloc&) {
      tcp_.note_lack_of_memory();
    }
  }
}

void WorkerLoop::turn() {
  keep_ticking();
  tcp_.poll(tcp_.has_queued() ? 0 : kForever);
  heed(tcp_.take_roused());
}

void WorkerLoop::heed(uint32_t roused) {
  if (roused == 0) return;
  if (has(roused, kDatagrams)) serve_datagrams();
  if (has(roused, kDeadline)) tick();
  if (has(roused, kTasks)) run_tasks();
}

void WorkerLoop::post(std::function<void()> task) {
  asio::post(tasks_, std::move(task));
  if (rung_.exchange(true)) return;
  const uint64_t one = 1;
  (void)!write(bell_.get(), &one, sizeof one);
}

// Silent before the queue is looked at: what is posted from here on rings again. A task that throws
// leaves the others in the queue.
void WorkerLoop::run_tasks() {
  reset_number(bell_);
  rung_.store(false);
  for (;;) {
    try {
      tasks_.poll();
      return;
    } catch (const std::bad_alloc&) {
      tcp_.note_lack_of_memory();
    }
  }
}

void WorkerLoop::serve_datagrams() {
  const uint64_t until = udp_.received() + kDatagramsPerTurn;
  for (int batch = 0; batch < kBatchesPerTurn && udp_.received() < until; ++batch) {
    if (!udp_.poll()) return;
  }
}

void WorkerLoop::tick() {
  reset_number(timer_);
  ticks_at_ = UINT64_MAX;
  tcp_.tick();
  udp_.tick();
}

void WorkerLoop::keep_ticking() {
  const uint64_t next = std::min(tcp_.next_tick(), udp_.next_tick());
  if (next >= ticks_at_) return;
  const itimerspec when = at_ms(next);
  if (timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr) == 0) ticks_at_ = next;
}

}  // namespace lb::proxy
