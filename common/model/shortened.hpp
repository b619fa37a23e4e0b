// Cuts text that others chose to a length that is certain to be taken elsewhere. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lb {

// At most `limit` bytes; a character of UTF-8 (RFC 3629) is kept whole or left out.
inline std::string shortened(std::string_view text, size_t limit) {
  if (text.size() <= limit) return std::string(text);
  size_t end = limit;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return std::string(text.substr(0, end));
}

}  // namespace lb
