// What a client has sent before its backend's first byte, kept so that it can be sent again.
//
// At most kMost bytes: one more, and all are forgotten for good. One object per connection, used
// by its worker. A Direction adds what it reads; the owner looks at overflowed() after that.
#pragma once

#include <cstddef>
#include <string>

namespace lb::proxy {

class KeptBytes {
 public:
  static constexpr size_t kMost = 16 << 10;

  void add(const char* data, size_t size) {
    overflowed_ = overflowed_ || bytes_.size() + size > kMost;
    if (overflowed_) {
      std::string().swap(bytes_);
    } else {
      bytes_.append(data, size);
    }
  }
  bool overflowed() const { return overflowed_; }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
  bool overflowed_ = false;
};

}  // namespace lb::proxy
