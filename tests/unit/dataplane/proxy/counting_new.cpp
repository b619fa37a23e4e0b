#include "tests/unit/dataplane/proxy/counting_new.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<uint64_t> g_allocations{0};

}  // namespace

namespace lb::proxy {

uint64_t allocations() { return g_allocations; }

}  // namespace lb::proxy

void* operator new(size_t size) {
  ++g_allocations;
  if (void* out = std::malloc(size == 0 ? 1 : size)) return out;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
