// The PROXY protocol, versions 1 and 2: what a proxy says of the connection that it forwards, ahead
// of the first byte of it. Pure functions on bytes; any thread; no exceptions.
//
// Reference: HAProxy's doc/proxy-protocol.txt. Where it leaves a choice:
// - Addresses given as IPv4 mapped into IPv6 (::ffff:0:0/96) count as IPv4, both ways: source
//   ranges and limits see one address for one client.
// - A client and a local address of different families: version 2 maps the IPv4 one into IPv6,
//   version 1 has no way to say it and writes UNKNOWN.
// - Parsing is strict and takes at most 107 bytes (version 1) or kMaxProxyV2 bytes (version 2).
//   Either signature, the protocol word of version 1 and the command, family and length of
//   version 2 are refused at the first wrong byte; so is a byte that no address can hold, a CR
//   without LF or LF without CR. Fields of version 1 and TLVs are judged once complete.
// - Version 1 UNKNOWN: what follows up to CRLF is ignored. Version 2 LOCAL: family and block are
//   ignored, except that a CRC-32C which can be found there must be right.
// - UNSPEC and UNIX are good headers without addresses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/model/address.hpp"
#include "common/model/proxy_local.hpp"
#include "common/model/state.hpp"

namespace lb::proxy {

inline constexpr size_t kMaxProxyV1 = 107;
inline constexpr size_t kMaxProxyV2 = 4096;

// `local` is the address the client asked for, which becomes the destination.
std::string encode_proxy_v1(const Endpoint& client, const Endpoint& local);
std::string encode_proxy_v2(const Endpoint& client, const Endpoint& local, Protocol protocol);

struct ParseResult {
  enum class Verdict : uint8_t { kNeedMore, kBad, kDone };

  Verdict verdict = Verdict::kNeedMore;
  size_t missing = 0;       // kNeedMore: at least so many bytes are still to come, never 0
  std::string_view code;    // kBad: CamelCase and stable, of static storage as is the next
  std::string_view reason;  // kBad: a sentence
  size_t consumed = 0;      // kDone: the length of the header; the rest is the client's

  // kDone. Without addresses (UNKNOWN, LOCAL, UNSPEC, UNIX) the connection's own apply. `local` is
  // true only for LOCAL of version 2: the proxy speaks for itself.
  bool local = false;
  std::optional<Endpoint> client;
  std::optional<Endpoint> destination;
  std::optional<Protocol> protocol;  // present exactly when the addresses are
};

// `received`: everything received so far, from the first byte of the connection.
ParseResult parse_proxy_header(std::span<const uint8_t> received);

// CRC-32C (Castagnoli; RFC 3720, appendix B.4), as in the PP2_TYPE_CRC32C field. `crc` continues an
// earlier result.
uint32_t crc32c(std::span<const uint8_t> bytes, uint32_t crc = 0);

namespace detail {

inline constexpr std::string_view kV1Signature = "PROXY ";
inline constexpr std::string_view kV2Signature = kProxyV2Signature;
inline constexpr size_t kV2Fixed = 16;     // signature, command, family, length
inline constexpr size_t kV1Shortest = 15;  // "PROXY UNKNOWN\r\n"

ParseResult need(size_t missing);
ParseResult bad(std::string_view code, std::string_view reason);
ParseResult parse_v1(std::string_view received);
ParseResult parse_v2(std::span<const uint8_t> received);
Endpoint plain(const Endpoint& endpoint);  // IPv4 when it was mapped into IPv6

}  // namespace detail
}  // namespace lb::proxy
