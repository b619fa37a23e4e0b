#include "dataplane/proxy/memory_trim.hpp"

#include <malloc.h>

namespace lb::proxy {

void MemoryTrim::trim(size_t live, uint64_t now) {
  due_at_ = UINT64_MAX;
  most_ = live;
  last_ = now;
  ++trims_;
  malloc_trim(0);
}

}  // namespace lb::proxy
