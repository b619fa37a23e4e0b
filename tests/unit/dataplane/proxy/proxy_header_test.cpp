// PROXY headers, version 1 and 2: what is written, what is taken, what is refused and when.
#include "dataplane/proxy/proxy_header.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "proxy_header_samples.hpp"

namespace lb::proxy {
namespace {

using test::block_of;
using test::endpoint;
using test::parse;
using test::tlv;
using test::v2_header;
using test::with_crc;
using Verdict = ParseResult::Verdict;

const Endpoint kClient4 = endpoint("192.0.2.1:56324");
const Endpoint kLocal4 = endpoint("198.51.100.7:443");
const Endpoint kClient6 = endpoint("[2001:db8::1]:56324");
const Endpoint kLocal6 = endpoint("[2001:db8::7]:443");

TEST(ProxyHeaderEncode, WritesVersion1AsTheSpecificationShowsIt) {
  EXPECT_EQ(encode_proxy_v1(kClient4, kLocal4), "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n");
  EXPECT_EQ(encode_proxy_v1(kClient6, kLocal6), "PROXY TCP6 2001:db8::1 2001:db8::7 56324 443\r\n");
  EXPECT_EQ(proxy_local_header(ProxyProtocol::kV1), "PROXY UNKNOWN\r\n");
}

TEST(ProxyHeaderEncode, Version1HasNoWordForMixedFamilies) {
  EXPECT_EQ(encode_proxy_v1(kClient4, kLocal6), "PROXY UNKNOWN\r\n");
  EXPECT_EQ(encode_proxy_v1(kClient6, kLocal4), "PROXY UNKNOWN\r\n");
}

TEST(ProxyHeaderEncode, MappedAddressesAreWrittenAsIpv4) {
  EXPECT_EQ(encode_proxy_v1(endpoint("[::ffff:192.0.2.1]:1"), kLocal4),
            "PROXY TCP4 192.0.2.1 198.51.100.7 1 443\r\n");
  EXPECT_EQ(encode_proxy_v2(endpoint("[::ffff:192.0.2.1]:1"), kLocal4, Protocol::kTcp).size(), 28u);
}

TEST(ProxyHeaderEncode, WritesVersion2ByteForByte) {
  const std::string expected(
      "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb", 28);
  EXPECT_EQ(encode_proxy_v2(kClient4, kLocal4, Protocol::kTcp), expected);
}

TEST(ProxyHeaderEncode, NamesFamilyAndProtocolInVersion2) {
  EXPECT_EQ(encode_proxy_v2(kClient4, kLocal4, Protocol::kUdp)[13], '\x12');
  EXPECT_EQ(encode_proxy_v2(kClient6, kLocal6, Protocol::kTcp)[13], '\x21');
  EXPECT_EQ(encode_proxy_v2(kClient6, kLocal6, Protocol::kUdp)[13], '\x22');
  EXPECT_EQ(proxy_local_header(ProxyProtocol::kV2), v2_header(0x20, 0x00, ""));
}

TEST(ProxyHeaderEncode, MixedFamiliesOfVersion2AreMappedIntoIpv6) {
  const std::string header = encode_proxy_v2(kClient4, kLocal6, Protocol::kTcp);
  ASSERT_EQ(header.size(), 52u);
  EXPECT_EQ(header[13], '\x21');
  EXPECT_EQ(header.substr(16, 16), std::string("\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x01", 16));
}

TEST(ProxyHeaderParse, ReadsClientAndDestinationOfVersion1) {
  const ParseResult got = parse("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nGET /");
  ASSERT_EQ(got.verdict, Verdict::kDone);
  EXPECT_EQ(got.consumed, 45u);
  EXPECT_EQ(got.client, kClient4);
  EXPECT_EQ(got.destination, kLocal4);
  EXPECT_EQ(got.protocol, Protocol::kTcp);
  EXPECT_FALSE(got.local);
}

TEST(ProxyHeaderParse, TakesTheLongestLineOfVersion1) {
  const std::string many = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
  const std::string line = "PROXY UNKNOWN " + many + ' ' + many + " 65535 65535\r\n";
  ASSERT_EQ(line.size(), kMaxProxyV1);
  EXPECT_EQ(parse(line).verdict, Verdict::kDone);
  const std::string longer = "PROXY UNKNOWN  " + many + ' ' + many + " 65535 65535\r\n";
  EXPECT_EQ(parse(longer).verdict, Verdict::kBad);
  EXPECT_EQ(parse(longer.substr(0, 106)).code, "LineTooLong");
}

TEST(ProxyHeaderParse, UnknownAndLocalHaveNoAddresses) {
  for (const std::string& header :
       {std::string(proxy_local_header(ProxyProtocol::kV1)),
        std::string("PROXY UNKNOWN 1.2.3.4 what\tever\r\n"),
        std::string(proxy_local_header(ProxyProtocol::kV2)), v2_header(0x20, 0x11, block_of(0x11)),
        v2_header(0x20, 0x77, "whatever"), v2_header(0x21, 0x00, ""),
        v2_header(0x21, 0x31, block_of(0x31)), v2_header(0x21, 0x32, block_of(0x32))}) {
    const ParseResult got = parse(header + "payload");
    ASSERT_EQ(got.verdict, Verdict::kDone) << testing::PrintToString(header) << got.reason;
    EXPECT_EQ(got.consumed, header.size());
    EXPECT_FALSE(got.client || got.destination || got.protocol);
    EXPECT_EQ(got.local, header[12] == '\x20');
  }
}

TEST(ProxyHeaderParse, AddressesMappedIntoIpv6CountAsIpv4) {
  const ParseResult text = parse("PROXY TCP6 ::ffff:192.0.2.1 2001:db8::7 1 2\r\n");
  EXPECT_EQ(text.client, endpoint("192.0.2.1:1"));
  const ParseResult mixed = parse(encode_proxy_v2(kClient4, kLocal6, Protocol::kTcp));
  EXPECT_EQ(mixed.client, kClient4);
  EXPECT_EQ(mixed.destination, kLocal6);
}

struct BadLine {
  const char* what;
  std::string text;
  std::string_view code;
};

class ProxyHeaderBadLine : public testing::TestWithParam<BadLine> {};

TEST_P(ProxyHeaderBadLine, IsRefused) {
  const ParseResult got = parse(GetParam().text);
  ASSERT_EQ(got.verdict, Verdict::kBad) << GetParam().what;
  EXPECT_EQ(got.code, GetParam().code) << GetParam().what;
  EXPECT_TRUE(got.reason.ends_with('.'));
}

INSTANTIATE_TEST_SUITE_P(
    Version1, ProxyHeaderBadLine,
    testing::Values(
        BadLine{"lower case", "proxy TCP4", "NotProxyHeader"},
        BadLine{"two blanks after PROXY", "PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n", "BadProtocol"},
        BadLine{"another protocol", "PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n", "BadProtocol"},
        BadLine{"glued to UNKNOWN", "PROXY UNKNOWNS\r\n", "BadProtocol"},
        BadLine{"two blanks", "PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n", "BadLine"},
        BadLine{"blank at the end", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n", "BadLine"},
        BadLine{"a fifth field", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n", "BadLine"},
        BadLine{"a port too few", "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", "BadLine"},
        BadLine{"nothing", "PROXY TCP4 \r\n", "BadLine"},
        BadLine{"port above 65535", "PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n", "BadLine"},
        BadLine{"leading zero", "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n", "BadLine"},
        BadLine{"zero twice", "PROXY TCP4 1.1.1.1 2.2.2.2 00 2\r\n", "BadLine"},
        BadLine{"signed port", "PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n", "BadLine"},
        BadLine{"zero in an address", "PROXY TCP4 1.1.1.01 2.2.2.2 1 2\r\n", "BadLine"},
        BadLine{"short address", "PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n", "BadLine"},
        BadLine{"IPv6 as TCP4", "PROXY TCP4 ::1 ::2 1 2\r\n", "BadLine"},
        BadLine{"IPv4 as TCP6", "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n", "BadLine"},
        BadLine{"mixed", "PROXY TCP6 ::1 2.2.2.2 1 2\r\n", "BadLine"},
        BadLine{"zone", "PROXY TCP6 fe80::1%1 ::2 1 2\r\n", "BadLine"},
        BadLine{"tab", "PROXY TCP4 1.1.1.1\t2.2.2.2 1 2\r\n", "BadLine"},
        BadLine{"LF alone", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", "BadLine"},
        BadLine{"CR alone", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rX", "BadLine"},
        BadLine{"LF alone after UNKNOWN", "PROXY UNKNOWN a\nb\r\n", "BadLine"},
        BadLine{"never ends", "PROXY TCP4 " + std::string(95, '1'), "LineTooLong"}));

INSTANTIATE_TEST_SUITE_P(
    Version2, ProxyHeaderBadLine,
    testing::Values(
        BadLine{"version 1 in binary", v2_header(0x11, 0x11, block_of(0x11)), "BadCommand"},
        BadLine{"version 3", v2_header(0x31, 0x11, block_of(0x11)), "BadCommand"},
        BadLine{"a third command", v2_header(0x22, 0x11, block_of(0x11)), "BadCommand"},
        BadLine{"a fourth family", v2_header(0x21, 0x41, block_of(0x31)), "BadFamily"},
        BadLine{"a third protocol", v2_header(0x21, 0x13, block_of(0x11)), "BadFamily"},
        BadLine{"family without protocol", v2_header(0x21, 0x10, block_of(0x11)), "BadFamily"},
        BadLine{"protocol without family", v2_header(0x21, 0x01, ""), "BadFamily"},
        BadLine{"short for IPv4", v2_header(0x21, 0x11, std::string(11, 'x')), "BadLength"},
        BadLine{"short for IPv6", v2_header(0x21, 0x21, std::string(35, 'x')), "BadLength"},
        BadLine{"short for UNIX", v2_header(0x21, 0x31, std::string(215, 'x')), "BadLength"},
        BadLine{"too long", v2_header(0x21, 0x11, std::string(4081, '\0')), "HeaderTooLong"},
        BadLine{"TLV too long", v2_header(0x21, 0x11, block_of(0x11) + std::string("\4\0\2x", 4)),
                "BadTlv"},
        BadLine{"TLV cut short", v2_header(0x21, 0x11, block_of(0x11) + std::string("\4\0", 2)),
                "BadTlv"},
        BadLine{"CRC of three bytes", v2_header(0x21, 0x11, block_of(0x11) + tlv(3, "abc")),
                "BadTlv"},
        BadLine{"two CRCs", with_crc(v2_header(0x21, 0x11, block_of(0x11) + tlv(3, "\1\2\3\4"))),
                "BadTlv"},
        BadLine{"wrong CRC", v2_header(0x21, 0x11, block_of(0x11) + tlv(3, "\1\2\3\4")),
                "BadChecksum"},
        BadLine{"wrong CRC of LOCAL", v2_header(0x20, 0x00, tlv(3, "\1\2\3\4")), "BadChecksum"}));

TEST(ProxyHeaderParse, WalksOverFieldsThatItDoesNotKnow) {
  const std::string header =
      v2_header(0x21, 0x11, block_of(0x11) + tlv(1, "h2") + tlv(0x04, "") + tlv(0xee, "mine"));
  const ParseResult got = parse(header + "payload");
  ASSERT_EQ(got.verdict, Verdict::kDone) << got.reason;
  EXPECT_EQ(got.consumed, header.size());
}

TEST(ProxyHeaderParse, TakesExactly4KiB) {
  const std::string header =
      v2_header(0x21, 0x11, block_of(0x11) + tlv(4, std::string(4096 - 16 - 12 - 3, '\0')));
  ASSERT_EQ(header.size(), kMaxProxyV2);
  EXPECT_EQ(parse(header).consumed, kMaxProxyV2);
}

TEST(ProxyHeaderParse, RefusesTheLengthBeforeTheBytesThatItPromises) {
  EXPECT_EQ(parse(v2_header(0x21, 0x11, std::string(5000, 'x')).substr(0, 16)).code,
            "HeaderTooLong");
  EXPECT_EQ(parse(v2_header(0x21, 0x11, "x").substr(0, 16)).code, "BadLength");
}

TEST(ProxyHeaderParse, EveryPrefixOfAGoodHeaderNeedsMore) {
  for (const std::string& header : test::good_headers()) {
    ASSERT_EQ(parse(header).verdict, Verdict::kDone) << testing::PrintToString(header);
    for (size_t size = 0; size < header.size(); ++size) {
      const ParseResult got = parse(header.substr(0, size));
      ASSERT_EQ(got.verdict, Verdict::kNeedMore) << testing::PrintToString(header) << size;
      EXPECT_GE(got.missing, 1u);
      EXPECT_LE(got.missing, header.size() - size) << testing::PrintToString(header) << size;
    }
  }
}

TEST(ProxyHeaderParse, SaysExactlyHowMuchOfVersion2IsMissing) {
  const std::string header = encode_proxy_v2(kClient6, kLocal6, Protocol::kTcp);
  for (size_t size = 16; size < header.size(); ++size) {
    EXPECT_EQ(parse(header.substr(0, size)).missing, header.size() - size);
  }
}

TEST(ProxyHeaderParse, WhoSpeaksAnotherProtocolIsRefusedAtTheFirstWrongByte) {
  for (const auto& [sent, at] :
       std::vector<std::pair<std::string, size_t>>{{"GET / HTTP/1.1\r\n", 1},
                                                   {"POST / HTTP/1.1\r\n", 2},
                                                   {"PRI * HTTP/2.0", 3},
                                                   {"PROPFIND / HTTP/1.1\r\n", 4},
                                                   {std::string("\x16\x03\x01\x02\0", 5), 1},
                                                   {"\r\n\r\nHELO", 5},
                                                   {"PROXY TCX", 9},
                                                   {"PROXY TCP5", 10},
                                                   {"PROXY TCP4 a", 12},
                                                   {"PROXY UNKNOWN:", 14}}) {
    EXPECT_EQ(parse(sent.substr(0, at - 1)).verdict, Verdict::kNeedMore) << sent;
    EXPECT_EQ(parse(sent.substr(0, at)).verdict, Verdict::kBad) << sent;
  }
}

TEST(ProxyHeaderParse, WhatFollowsAHeaderDoesNotChangeIt) {
  for (const std::string& header : test::good_headers()) {
    for (const char* after : {"P", "PROXY ", "\r\n", "\r\n\r\n"}) {
      const ParseResult got = parse(header + after);
      ASSERT_EQ(got.verdict, Verdict::kDone);
      EXPECT_EQ(got.consumed, header.size());
    }
  }
}

TEST(ProxyHeaderRoundTrip, Version2GivesBackAnyTwoEndpoints) {
  std::mt19937_64 random(test::printed_seed());
  for (int i = 0; i < 20000; ++i) {
    const Endpoint client = test::random_endpoint(random);
    const Endpoint local = test::random_endpoint(random);
    const Protocol protocol = random() % 2 == 0 ? Protocol::kTcp : Protocol::kUdp;
    const std::string header = encode_proxy_v2(client, local, protocol);
    const ParseResult got = parse(header + "x");
    ASSERT_EQ(got.verdict, Verdict::kDone);
    ASSERT_EQ(got.consumed, header.size());
    ASSERT_EQ(got.client, client);
    ASSERT_EQ(got.destination, local);
    ASSERT_EQ(got.protocol, protocol);
  }
}

TEST(ProxyHeaderRoundTrip, Version1GivesBackTwoEndpointsOfOneFamily) {
  std::mt19937_64 random(test::printed_seed());
  for (int i = 0; i < 20000; ++i) {
    const Endpoint client = test::random_endpoint(random);
    const Endpoint local = test::random_endpoint(random);
    const bool same = client.address.family() == local.address.family();
    const std::string header = encode_proxy_v1(client, local);
    ASSERT_LE(header.size(), kMaxProxyV1);
    const ParseResult got = parse(header + "x");
    ASSERT_EQ(got.verdict, Verdict::kDone) << header;
    ASSERT_EQ(got.consumed, header.size());
    ASSERT_EQ(got.client, same ? std::optional(client) : std::nullopt) << header;
    ASSERT_EQ(got.destination, same ? std::optional(local) : std::nullopt) << header;
  }
}

TEST(ProxyHeaderChecksum, IsTheOneOfRfc3720) {
  const std::vector<uint8_t> zeros(32, 0);
  const std::vector<uint8_t> ones(32, 0xff);
  EXPECT_EQ(crc32c(zeros), 0x8a9136aaU);
  EXPECT_EQ(crc32c(ones), 0x62a8ab43U);
  EXPECT_EQ(crc32c(std::span(zeros).subspan(10), crc32c(std::span(zeros).first(10))), 0x8a9136aaU);
}

// The type byte is left out: one bit of it turns the checksum into some other field, of which a
// receiver cannot know that it was one.
TEST(ProxyHeaderChecksum, NoHeaderWithOneWrongBitIsTaken) {
  for (const uint8_t family : {0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32}) {
    const std::string good =
        with_crc(v2_header(0x21, family, block_of(family) + tlv(2, "example.com")));
    ASSERT_EQ(parse(good).verdict, Verdict::kDone);
    const size_t type = good.size() - 7;
    for (size_t bit = 0; bit < good.size() * 8; ++bit) {
      if (bit / 8 == type) continue;
      std::string wrong = good;
      wrong[bit / 8] = static_cast<char>(wrong[bit / 8] ^ 1 << bit % 8);
      EXPECT_NE(parse(wrong).verdict, Verdict::kDone) << int{family} << ' ' << bit;
      EXPECT_EQ(parse(wrong + std::string(5000, 'x')).verdict, Verdict::kBad)
          << int{family} << ' ' << bit;
    }
  }
}

}  // namespace
}  // namespace lb::proxy
