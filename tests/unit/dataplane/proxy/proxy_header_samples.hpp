// Builders of PROXY headers, good and bad, for the tests of the parser.
#pragma once

#include <gtest/gtest.h>

#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "dataplane/proxy/proxy_header.hpp"
#include "tests/support/naive_proxy_header.hpp"

namespace lb::proxy::test {

inline ParseResult parse(const std::string& bytes) {
  return parse_proxy_header({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

// Unlike parse_endpoint(), also port 0.
inline Endpoint endpoint(const std::string& text) {
  const auto parsed = parse_endpoint(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return *parsed;
}

inline std::string word_of(size_t value) {
  return {static_cast<char>(value >> 8 & 0xff), static_cast<char>(value & 0xff)};
}

inline std::string tlv(uint8_t type, const std::string& value) {
  return std::string(1, static_cast<char>(type)) + word_of(value.size()) + value;
}

inline std::string v2_header(uint8_t command, uint8_t family, const std::string& block) {
  return std::string("\r\n\r\n\0\r\nQUIT\n", 12) + static_cast<char>(command) +
         static_cast<char>(family) + word_of(block.size()) + block;
}

inline std::string block_of(uint8_t family) {
  switch (family >> 4) {
    case 1:
      return std::string("\xc0\0\2\1\xc6\x33\x64\7\xdc\4\1\xbb", 12);
    case 2:
      return "\x20\x01\x0d\xb8wasalongaddr\x20\x01\x0d\xb8wasalongloca\xdc\4\1\xbb";
    case 3:
      return "/run/client" + std::string(97, '\0') + "/run/server" + std::string(97, '\0');
    default:
      return "";
  }
}

// The header with a checksum as its last field.
inline std::string with_crc(const std::string& header) {
  const std::string block = header.substr(16) + tlv(3, std::string(4, '\0'));
  std::string out = header.substr(0, 14) + word_of(block.size()) + block;
  const uint32_t crc = slow_crc(out);
  return out.substr(0, out.size() - 4) + word_of(crc >> 16) + word_of(crc & 0xffff);
}

inline std::vector<std::string> good_headers() {
  const Endpoint four = endpoint("192.0.2.1:56324");
  const Endpoint six = endpoint("[2001:db8::1]:443");
  std::vector<std::string> out = {std::string(proxy_local_header(ProxyProtocol::kV1)),
                                  std::string(proxy_local_header(ProxyProtocol::kV2)),
                                  "PROXY UNKNOWN something else\r\n",
                                  "PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n",
                                  "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
                                  "PROXY TCP6 ::1 FFFF::ffff:192.0.2.1 65535 65535\r\n",
                                  encode_proxy_v1(four, four),
                                  encode_proxy_v1(six, six)};
  for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp}) {
    out.push_back(encode_proxy_v2(four, four, protocol));
    out.push_back(encode_proxy_v2(six, four, protocol));
  }
  for (const uint8_t family : {0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32}) {
    out.push_back(v2_header(0x21, family, block_of(family) + tlv(1, "h2") + tlv(0x20, "ssl")));
    out.push_back(with_crc(out.back()));
    out.push_back(v2_header(0x20, family, block_of(family)));
  }
  return out;
}

// Of either family, never an IPv4 address mapped into IPv6; short IPv6 addresses among them.
inline Endpoint random_endpoint(std::mt19937_64& random) {
  const auto port = static_cast<uint16_t>(random());
  if (random() % 2 == 0) return {IpAddress::v4(static_cast<uint32_t>(random())), port};
  std::array<uint8_t, 16> bytes{};
  bytes[0] = 0x20;
  for (size_t i = 1; i < bytes.size(); ++i) {
    if (random() % 2 == 0) bytes[i] = static_cast<uint8_t>(random());
  }
  return {IpAddress::v6(bytes), port};
}

inline uint64_t printed_seed() {
  const uint64_t seed = std::random_device{}();
  std::cout << "seed " << seed << std::endl;
  return seed;
}

}  // namespace lb::proxy::test
