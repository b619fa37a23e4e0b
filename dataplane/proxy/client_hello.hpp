// The first message of a TLS client, as far as it says which server it wants (RFC 8446, sections
// 4.1.2 and 5.1; RFC 6066, section 3), whatever records it comes in.
//
// Pure: looks at bytes and takes none. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace lb::proxy {

struct ClientHello {
  enum class Verdict : uint8_t {
    kNeedMore,   // right so far
    kDone,       // whole; `server_name` is what it asks for
    kNotTls,     // does not begin as TLS does
    kMalformed,  // does, and goes on otherwise
    kTooLarge,   // more than kMaxClientHello, or in too many records
  };
  Verdict verdict = Verdict::kNeedMore;
  std::string server_name;  // in lower case, without a dot at its end; empty: it names none
};

// Of the message. Browsers send about 2 KiB with a post-quantum key share.
inline constexpr size_t kMaxClientHello = 16 * 1024;
inline constexpr size_t kMaxHelloRecords = 256;  // that it comes in
inline constexpr size_t kMaxHelloBytes = kMaxClientHello + 5 * kMaxHelloRecords;

ClientHello parse_client_hello(std::span<const uint8_t> bytes);

}  // namespace lb::proxy
