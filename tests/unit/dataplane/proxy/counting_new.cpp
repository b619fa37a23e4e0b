#include "tests/unit/dataplane/proxy/counting_new.hpp"

#include <atomic>
#include <cstdlib>
#include <new>
#include <utility>

namespace {

constexpr int64_t kNever = -1;

std::atomic<uint64_t> g_allocations{0};
thread_local int64_t t_left = kNever;
thread_local bool t_onward = false;
thread_local bool t_failed = false;

std::atomic<bool> g_threads_fail{false};
thread_local bool t_chosen = false;

bool refused() {
  if (g_threads_fail && t_chosen) return true;
  if (t_left == kNever) return false;
  if (t_left > 0) {
    --t_left;
    return false;
  }
  if (t_left == 0) t_left = t_onward ? lb::proxy::FailingNew::kEach : kNever;
  return t_failed = true;
}

}  // namespace

namespace lb::proxy {

uint64_t allocations() { return g_allocations; }

FailingNew::FailingNew(int64_t number, bool onward) {
  t_onward = onward;
  t_failed = false;
  t_left = number;
}
FailingNew::~FailingNew() { t_left = kNever; }
bool FailingNew::has_failed() { return t_failed; }

FailingThreads::FailingThreads() { g_threads_fail = true; }
FailingThreads::~FailingThreads() { g_threads_fail = false; }
bool FailingThreads::choose() { return !std::exchange(t_chosen, true); }

}  // namespace lb::proxy

// A sanitizer's own one would not call that which throws.
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++g_allocations;
  return refused() ? nullptr : std::malloc(size == 0 ? 1 : size);
}
void* operator new(size_t size) {
  if (void* out = operator new(size, std::nothrow)) return out;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
