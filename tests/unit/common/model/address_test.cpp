#include "common/model/address.hpp"

#include <gtest/gtest.h>

namespace lb {
namespace {

IpAddress ip(std::string_view text) {
  const auto parsed = IpAddress::parse(text);
  EXPECT_TRUE(parsed.ok()) << text;
  return parsed.ok() ? *parsed : IpAddress{};
}

TEST(IpAddress, PrintsWhatItParsed) {
  for (const char* text :
       {"0.0.0.0", "192.0.2.10", "255.255.255.255", "::", "::1", "2001:db8::1", "fe80::1"}) {
    EXPECT_EQ(ip(text).to_string(), text);
  }
}

TEST(IpAddress, RefusesWhatIsNoAddress) {
  for (const char* text : {"", " ", "1.2.3", "1.2.3.4 ", "01.2.3.4", "256.0.0.1", "fe80::1%eth0",
                           "host", "1.2.3.4/24", ":::"}) {
    EXPECT_FALSE(IpAddress::parse(text).ok()) << text;
  }
  EXPECT_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0x", 9)).ok());
}

TEST(IpAddress, OrdersByFamilyThenNumber) {
  EXPECT_LT(ip("9.255.255.255"), ip("10.0.0.0"));
  EXPECT_LT(ip("255.255.255.255"), ip("::"));
  EXPECT_LT(ip("2001:db8::9"), ip("2001:db8::10"));
}

TEST(IpAddress, NextCarriesAndEndsAtTheFamilysLast) {
  EXPECT_EQ(ip("10.0.0.255").next(), ip("10.0.1.0"));
  EXPECT_EQ(ip("2001:db8::ffff").next(), ip("2001:db8::1:0"));
  EXPECT_EQ(ip("255.255.255.255").next(), std::nullopt);
}

TEST(Endpoint, ParsesAndPrintsBothFamilies) {
  for (const char* text : {"192.0.2.1:80", "[2001:db8::1]:443"}) {
    const auto endpoint = parse_endpoint(text);
    ASSERT_TRUE(endpoint.ok()) << text;
    EXPECT_EQ(endpoint->to_string(), text);
  }
}

TEST(Endpoint, RefusesMissingBracketsAndBadPorts) {
  for (const char* text : {"192.0.2.1", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536",
                           "192.0.2.1:8o", "2001:db8::1:80", "[192.0.2.1]:80", "host:80"}) {
    EXPECT_FALSE(parse_endpoint(text).ok()) << text;
  }
}

TEST(Cidr, ClearsHostBitsAndContainsItsEnds) {
  const auto cidr = Cidr::parse("192.0.2.77/28");
  ASSERT_TRUE(cidr.ok());
  EXPECT_EQ(cidr->to_string(), "192.0.2.64/28");
  EXPECT_TRUE(cidr->contains(ip("192.0.2.64")));
  EXPECT_TRUE(cidr->contains(cidr->last()));
  EXPECT_EQ(cidr->last(), ip("192.0.2.79"));
  EXPECT_FALSE(cidr->contains(ip("192.0.2.80")));
  EXPECT_FALSE(cidr->contains(ip("::")));
}

TEST(Cidr, TakesZeroLengthAndSingleAddresses) {
  EXPECT_TRUE(Cidr::parse("0.0.0.0/0")->contains(ip("203.0.113.9")));
  EXPECT_FALSE(Cidr::parse("0.0.0.0/0")->contains(ip("::1")));
  EXPECT_EQ(Cidr::parse("2001:db8::1")->prefix_length(), 128);
}

TEST(Cidr, RefusesBadPrefixLengths) {
  for (const char* text : {"10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x"}) {
    EXPECT_FALSE(Cidr::parse(text).ok()) << text;
  }
}

TEST(AddressRange, TakesRangesCidrsAndSingles) {
  EXPECT_EQ(AddressRange::parse("192.0.2.10 - 192.0.2.20")->to_string(), "192.0.2.10-192.0.2.20");
  EXPECT_EQ(AddressRange::parse("192.0.2.0/30")->to_string(), "192.0.2.0-192.0.2.3");
  EXPECT_EQ(AddressRange::parse("2001:db8::5")->to_string(), "2001:db8::5");
}

TEST(AddressRange, RefusesReversedAndMixedRanges) {
  for (const char* text : {"192.0.2.20-192.0.2.10", "192.0.2.1-2001:db8::1", "a-b", "", "-"}) {
    EXPECT_FALSE(AddressRange::parse(text).ok()) << text;
  }
}

TEST(RefuseAddress, RefusesAddressesThatNoBackendCanHave) {
  for (const char* text :
       {"0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "239.1.1.1", "255.255.255.255",
        "::", "fe80::1", "ff02::1", "::ffff:169.254.169.254", "::ffff:10.0.0.1"}) {
    EXPECT_TRUE(refuse_address(ip(text), AddressUse::kBackend, false)) << text;
  }
  EXPECT_FALSE(refuse_address(ip("10.0.0.1"), AddressUse::kBackend, true));
  EXPECT_FALSE(refuse_address(ip("2001:db8::1"), AddressUse::kBackend, true));
}

TEST(RefuseAddress, AllowsLoopbackOnlyOutsideKubernetes) {
  for (const char* text : {"127.0.0.1", "127.9.9.9", "::1"}) {
    EXPECT_FALSE(refuse_address(ip(text), AddressUse::kBackend, false)) << text;
    EXPECT_TRUE(refuse_address(ip(text), AddressUse::kBackend, true)) << text;
  }
}

TEST(RefuseAddress, AllowsWildcardListenersOnlyOutsideKubernetes) {
  for (const char* text : {"0.0.0.0", "::"}) {
    EXPECT_FALSE(refuse_address(ip(text), AddressUse::kListener, false)) << text;
    EXPECT_TRUE(refuse_address(ip(text), AddressUse::kListener, true)) << text;
  }
}

}  // namespace
}  // namespace lb
