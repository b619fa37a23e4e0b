#include <algorithm>
#include <charconv>

#include "common/model/address.hpp"

namespace lb {
namespace {

unsigned bits_of(const IpAddress& address) { return address.is_v4() ? 32 : 128; }

std::array<uint8_t, 16> masked(const IpAddress& address, unsigned prefix, bool fill) {
  auto bytes = address.bytes();
  for (unsigned bit = prefix; bit < bits_of(address); ++bit) {
    const uint8_t mask = static_cast<uint8_t>(0x80 >> (bit % 8));
    if (fill) {
      bytes[bit / 8] |= mask;
    } else {
      bytes[bit / 8] &= static_cast<uint8_t>(~mask);
    }
  }
  return bytes;
}

IpAddress with_bytes(const IpAddress& like, const std::array<uint8_t, 16>& bytes) {
  if (!like.is_v4()) return IpAddress::v6(bytes);
  return IpAddress::v4(uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 |
                       uint32_t{bytes[2]} << 8 | bytes[3]);
}

std::string_view trimmed(std::string_view text) {
  const size_t from = text.find_first_not_of(' ');
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(' ') - from + 1);
}

Error bad_range(std::string_view text, const char* why) {
  return {"InvalidRange", "'" + std::string(text) + "' " + why};
}

}  // namespace

Cidr::Cidr(IpAddress network, uint8_t prefix_length)
    : prefix_length_(static_cast<uint8_t>(std::min<unsigned>(prefix_length, bits_of(network)))) {
  network_ = with_bytes(network, masked(network, prefix_length_, false));
}

Result<Cidr> Cidr::parse(std::string_view text) {
  const Error bad{"InvalidCidr",
                  "'" + std::string(text) + "' is not an address or ADDRESS/PREFIX-LENGTH"};
  const size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return bad;
  unsigned prefix = bits_of(*address);
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
    if (error != std::errc{} || end != digits.data() + digits.size()) return bad;
    if (prefix > bits_of(*address)) return bad;
  }
  return Cidr(*address, static_cast<uint8_t>(prefix));
}

bool Cidr::contains(const IpAddress& address) const {
  return address.family() == network_.family() &&
         masked(address, prefix_length_, false) == network_.bytes();
}

IpAddress Cidr::last() const {
  return with_bytes(network_, masked(network_, prefix_length_, true));
}

std::string Cidr::to_string() const {
  return network_.to_string() + "/" + std::to_string(prefix_length_);
}

Result<AddressRange> AddressRange::parse(std::string_view text) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) {
    const auto cidr = Cidr::parse(trimmed(text));
    if (!cidr) return bad_range(text, "is not an address, a CIDR or FIRST-LAST");
    return AddressRange{cidr->first(), cidr->last()};
  }
  const auto first = IpAddress::parse(trimmed(text.substr(0, dash)));
  const auto last = IpAddress::parse(trimmed(text.substr(dash + 1)));
  if (!first || !last) return bad_range(text, "is not an address, a CIDR or FIRST-LAST");
  if (first->family() != last->family()) return bad_range(text, "mixes IPv4 and IPv6");
  if (*last < *first) return bad_range(text, "ends before it begins");
  return AddressRange{*first, *last};
}

bool AddressRange::contains(const IpAddress& address) const {
  return address.family() == first.family() && first <= address && address <= last;
}

std::string AddressRange::to_string() const {
  return first == last ? first.to_string() : first.to_string() + "-" + last.to_string();
}

}  // namespace lb
