#include "tests/unit/dataplane/proxy/counting_new.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

constexpr int64_t kNever = -1;

std::atomic<uint64_t> g_allocations{0};
thread_local int64_t t_left = kNever;
thread_local bool t_failed = false;

bool refused() {
  if (t_left == kNever) return false;
  if (t_left > 0) {
    --t_left;
    return false;
  }
  if (t_left == 0) t_left = kNever;
  return t_failed = true;
}

}  // namespace

namespace lb::proxy {

uint64_t allocations() { return g_allocations; }

FailingNew::FailingNew(int64_t number) {
  t_failed = false;
  t_left = number;
}
FailingNew::~FailingNew() { t_left = kNever; }
bool FailingNew::has_failed() { return t_failed; }

}  // namespace lb::proxy

void* operator new(size_t size) {
  ++g_allocations;
  if (refused()) throw std::bad_alloc();
  if (void* out = std::malloc(size == 0 ? 1 : size)) return out;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
