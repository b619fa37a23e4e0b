// The bytes of the benchmark: each is a function of its position and of a tag, so that the far end
// can check every one; and the two headers that begin a request and an answer. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bench {

struct RequestHead {
  uint32_t magic = 0x42e0c0de;
  uint32_t request_bytes = 0;
  uint64_t answer_bytes = 0;
  uint64_t tag = 0;
};

struct AnswerHead {
  uint32_t magic = 0x0de04200;
  uint32_t backend = 0;  // who made it
  uint64_t tag = 0;
  uint64_t bytes = 0;
  uint64_t bad = 0;  // bytes of the request that were not as sent
};

// A repeating run of bytes from which any stretch of a stream can be taken without copying.
class Pattern {
 public:
  static constexpr size_t kPeriod = 4093;  // prime: no buffer size divides it
  static constexpr size_t kWindow = 256 * 1024;

  Pattern() : bytes_(kWindow + kPeriod) {
    for (size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<char>((i % kPeriod) * 131);
  }
  // At least kWindow bytes, as they stand at `offset` of the stream `tag`.
  const char* at(uint64_t tag, uint64_t offset) const {
    return bytes_.data() + (tag + offset) % kPeriod;
  }
  uint64_t wrong(uint64_t tag, uint64_t offset, const char* data, size_t size) const;

 private:
  std::vector<char> bytes_;
};

}  // namespace bench
