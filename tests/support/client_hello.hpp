// ClientHello messages by their parts (RFC 8446, section 4.1.2), right ones and wrong ones.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace lb::test {

using Text = std::string;

inline Text number(size_t value, size_t width) {
  Text out;
  while (width-- > 0) out += static_cast<char>(value >> (8 * width) & 0xff);
  return out;
}
inline Text sized(const Text& text, size_t width) { return number(text.size(), width) + text; }
inline Text extension(uint16_t type, const Text& body) { return number(type, 2) + sized(body, 2); }
inline Text server_name_list(const Text& name) { return sized(number(0, 1) + sized(name, 2), 2); }
inline Text server_name(const Text& name) { return extension(0, server_name_list(name)); }

// Of the body, as the next ones: with these extensions, or with none at all.
inline Text fixed_part() {
  return Text("\x03\x03") + Text(32, 'r') + sized(Text(32, 's'), 1) +
         sized(Text("\x13\x01\x13\x02", 4), 2) + sized(Text(1, '\0'), 1);
}
inline Text hello_body(const Text& extensions) { return fixed_part() + sized(extensions, 2); }
inline Text message(const Text& body, uint8_t type = 1) { return number(type, 1) + sized(body, 3); }

// In records of so many bytes each.
inline Text records(const Text& message, size_t each = 16 * 1024) {
  Text out;
  for (size_t at = 0; at < message.size(); at += each) {
    out += Text("\x16\x03\x01") + sized(message.substr(at, each), 2);
  }
  return out;
}

// As a browser sends it: GREASE (RFC 8701) before and behind, and a key share of `share` bytes.
inline Text client_hello(const Text& name, size_t share = 32) {
  const Text key_share = number(0x001d, 2) + sized(Text(share, 'k'), 2);
  return message(hello_body(
      extension(0x0a0a, "") + server_name(name) + extension(0x0010, sized(sized("h2", 1), 2)) +
      extension(0x0033, sized(key_share, 2)) + extension(0x7a7a, Text(1, '\0'))));
}

// X25519MLKEM768, as current browsers and OpenSSL 3.5 offer it.
inline constexpr size_t kPostQuantumShare = 1216;

}  // namespace lb::test
