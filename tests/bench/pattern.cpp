#include "tests/bench/pattern.hpp"

#include <algorithm>
#include <cstring>

namespace bench {

uint64_t Pattern::wrong(uint64_t tag, uint64_t offset, const char* data, size_t size) const {
  uint64_t count = 0;
  for (size_t done = 0; done < size;) {
    const size_t part = std::min(size - done, kWindow);
    const char* right = at(tag, offset + done);
    if (std::memcmp(right, data + done, part) != 0) {
      for (size_t i = 0; i < part; ++i) count += right[i] != data[done + i] ? 1 : 0;
    }
    done += part;
  }
  return count;
}

}  // namespace bench
