#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/proxy/proxy_header.hpp"

namespace lb::proxy::detail {
namespace {

using Bytes = std::span<const uint8_t>;

constexpr uint8_t kTypeCrc32c = 0x03;
constexpr size_t kTlvFixed = 3;
constexpr size_t kCrcSize = 4;

size_t read_16(Bytes bytes) { return size_t{bytes[0]} << 8 | bytes[1]; }

// Of both addresses with both ports; nullopt for a family and protocol that do not exist.
std::optional<size_t> address_size(uint8_t family) {
  switch (family) {
    case 0x00:
      return 0;
    case 0x11:
    case 0x12:
      return 12;
    case 0x21:
    case 0x22:
      return 36;
    case 0x31:
    case 0x32:
      return 216;
    default:
      return std::nullopt;
  }
}

struct Tlvs {
  bool whole = false;      // they fill the header to its last byte, and at most one is a CRC
  size_t checksum_at = 0;  // 0: none
};

Tlvs walk(Bytes header, size_t at) {
  Tlvs out;
  while (at < header.size()) {
    if (header.size() - at < kTlvFixed) return out;
    const size_t length = read_16(header.subspan(at + 1));
    const size_t value = at + kTlvFixed;
    if (header.size() - value < length) return out;
    if (header[at] == kTypeCrc32c) {
      if (length != kCrcSize || out.checksum_at != 0) return out;
      out.checksum_at = value;
    }
    at = value + length;
  }
  out.whole = at == header.size();
  return out;
}

// The sum is over the header with its own four bytes as 0.
bool checksum_right(Bytes header, size_t at) {
  constexpr std::array<uint8_t, kCrcSize> kZeros{};
  uint32_t crc = crc32c(header.first(at));
  crc = crc32c(kZeros, crc);
  crc = crc32c(header.subspan(at + kCrcSize), crc);
  return crc == (read_16(header.subspan(at)) << 16 | read_16(header.subspan(at + 2)));
}

IpAddress read_address(Bytes bytes, bool v6) {
  std::array<uint8_t, 16> raw{};
  std::memcpy(raw.data(), bytes.data(), v6 ? 16 : 4);
  if (v6) return IpAddress::v6(raw);
  return IpAddress::v4(static_cast<uint32_t>(read_16(raw) << 16 | read_16(Bytes(raw).subspan(2))));
}

void read_endpoints(Bytes header, ParseResult& out) {
  const uint8_t family = header[13];
  if (family >> 4 != 1 && family >> 4 != 2) return;
  const bool v6 = family >> 4 == 2;
  const size_t size = v6 ? 16 : 4;
  const Bytes block = header.subspan(kV2Fixed);
  const auto port = [&](size_t i) {
    return static_cast<uint16_t>(read_16(block.subspan(2 * size + 2 * i)));
  };
  out.client = plain({read_address(block, v6), port(0)});
  out.destination = plain({read_address(block.subspan(size), v6), port(1)});
  out.protocol = (family & 0xf) == 2 ? Protocol::kUdp : Protocol::kTcp;
}

ParseResult judge(Bytes header, bool local) {
  const size_t start = kV2Fixed + address_size(header[13]).value_or(0);
  const Tlvs tlvs = walk(header, start);
  if (!local && !tlvs.whole) {
    return bad("BadTlv", "A field of a PROXY header does not fit into it.");
  }
  if (tlvs.whole && tlvs.checksum_at != 0 && !checksum_right(header, tlvs.checksum_at)) {
    return bad("BadChecksum", "The checksum of a PROXY header is wrong.");
  }
  ParseResult out;
  out.verdict = ParseResult::Verdict::kDone;
  out.consumed = header.size();
  out.local = local;
  if (!local) read_endpoints(header, out);
  return out;
}

}  // namespace

ParseResult parse_v2(Bytes received) {
  const size_t common = std::min(received.size(), kV2Signature.size());
  if (std::memcmp(received.data(), kV2Signature.data(), common) != 0) {
    return bad("NotProxyHeader", "The connection does not begin with a PROXY header.");
  }
  if (received.size() > 12 && received[12] != 0x20 && received[12] != 0x21) {
    return bad("BadCommand", "A PROXY header has a version or a command that does not exist.");
  }
  const bool local = received.size() > 12 && received[12] == 0x20;
  if (received.size() > 13 && !local && !address_size(received[13])) {
    return bad("BadFamily", "A PROXY header has an address family that does not exist.");
  }
  if (received.size() < kV2Fixed) return need(kV2Fixed - received.size());
  const size_t length = read_16(received.subspan(14));
  if (kV2Fixed + length > kMaxProxyV2) {
    return bad("HeaderTooLong", "A PROXY header is longer than 4096 bytes.");
  }
  if (!local && length < *address_size(received[13])) {
    return bad("BadLength", "A PROXY header is too short for its addresses.");
  }
  if (received.size() < kV2Fixed + length) return need(kV2Fixed + length - received.size());
  return judge(received.first(kV2Fixed + length), local);
}

}  // namespace lb::proxy::detail
