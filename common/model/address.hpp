// IP addresses, endpoints and CIDR ranges as plain values: parse, print, order, classify.
//
// No socket types here. IPv4 and IPv6 as in RFC 791 and RFC 4291; text as in RFC 5952 (input is
// what inet_pton(3) takes; no zone index, no leading zeros, no surrounding blanks).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/result.hpp"

namespace lb {

enum class Family : uint8_t { kV4 = 4, kV6 = 6 };

class IpAddress {
 public:
  IpAddress() = default;  // 0.0.0.0
  static Result<IpAddress> parse(std::string_view text);
  static IpAddress v4(uint32_t host_order);
  static IpAddress v6(const std::array<uint8_t, 16>& network_order);

  Family family() const { return family_; }
  bool is_v4() const { return family_ == Family::kV4; }
  uint32_t to_v4() const;                                          // host order; is_v4() only
  const std::array<uint8_t, 16>& bytes() const { return bytes_; }  // v4: in the first four
  std::string to_string() const;

  // The numerically next address; nullopt past the last of the family.
  std::optional<IpAddress> next() const;

  bool is_wildcard() const;
  bool is_loopback() const;
  bool is_link_local() const;
  bool is_multicast() const;
  bool is_v4_mapped() const;                  // ::ffff:0:0/96
  std::optional<IpAddress> unmapped() const;  // the v4 address inside, if is_v4_mapped()

  auto operator<=>(const IpAddress&) const = default;  // by family, then number

 private:
  Family family_ = Family::kV4;
  std::array<uint8_t, 16> bytes_{};
};

struct Endpoint {
  IpAddress address;
  uint16_t port = 0;

  std::string to_string() const;  // "192.0.2.1:80", "[2001:db8::1]:80"
  auto operator<=>(const Endpoint&) const = default;
};

// Takes "192.0.2.1:80" and "[2001:db8::1]:80"; port 1-65535.
Result<Endpoint> parse_endpoint(std::string_view text);

// A CIDR prefix; host bits are cleared when parsed. "192.0.2.1" alone means /32.
class Cidr {
 public:
  static Result<Cidr> parse(std::string_view text);
  Cidr(IpAddress network, uint8_t prefix_length);

  const IpAddress& network() const { return network_; }
  uint8_t prefix_length() const { return prefix_length_; }
  bool contains(const IpAddress& address) const;
  IpAddress first() const { return network_; }
  IpAddress last() const;
  std::string to_string() const;
  auto operator<=>(const Cidr&) const = default;

 private:
  IpAddress network_;
  uint8_t prefix_length_ = 32;
};

// An inclusive range of one family, from "192.0.2.10-192.0.2.20", a CIDR, or one address.
struct AddressRange {
  IpAddress first;
  IpAddress last;

  static Result<AddressRange> parse(std::string_view text);
  bool contains(const IpAddress& address) const;
  std::string to_string() const;
  auto operator<=>(const AddressRange&) const = default;
};

// Where an address is about to be used: what is refused differs a little (design, section 6).
enum class AddressUse : uint8_t { kListener, kBackend };

// nullopt when the address may be used; else a sentence that says why not. `kubernetes_key` is
// true for services whose key begins "kubernetes/": for those loopback and the wildcards are
// refused as well.
std::optional<std::string> refuse_address(const IpAddress& address, AddressUse use,
                                          bool kubernetes_key);

}  // namespace lb
