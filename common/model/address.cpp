#include "common/model/address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace lb {
namespace {

constexpr size_t kV4Bytes = 4;

size_t length_of(const IpAddress& address) { return address.is_v4() ? kV4Bytes : 16; }

bool in_v4(const IpAddress& address, uint32_t network, unsigned prefix) {
  return address.is_v4() && (address.to_v4() >> (32 - prefix)) == (network >> (32 - prefix));
}

Error bad_address(std::string_view text) {
  return {"InvalidAddress", "'" + std::string(text) + "' is not an IPv4 or IPv6 address"};
}

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

}  // namespace

Result<IpAddress> IpAddress::parse(std::string_view text) {
  // inet_pton wants a terminated string; a NUL inside the text must not shorten it.
  const std::string copy(text);
  if (copy.find('\0') != std::string::npos) return bad_address(text);
  IpAddress out;
  if (inet_pton(AF_INET, copy.c_str(), out.bytes_.data()) == 1) return out;
  if (inet_pton(AF_INET6, copy.c_str(), out.bytes_.data()) != 1) return bad_address(text);
  out.family_ = Family::kV6;
  return out;
}

IpAddress IpAddress::v4(uint32_t host_order) {
  IpAddress out;
  const uint32_t network = htonl(host_order);
  std::memcpy(out.bytes_.data(), &network, kV4Bytes);
  return out;
}

IpAddress IpAddress::v6(const std::array<uint8_t, 16>& network_order) {
  IpAddress out;
  out.family_ = Family::kV6;
  out.bytes_ = network_order;
  return out;
}

uint32_t IpAddress::to_v4() const {
  uint32_t network = 0;
  std::memcpy(&network, bytes_.data(), kV4Bytes);
  return ntohl(network);
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), text, sizeof text);
  return text;
}

std::optional<IpAddress> IpAddress::next() const {
  IpAddress out = *this;
  for (size_t i = length_of(*this); i-- > 0;) {
    if (++out.bytes_[i] != 0) return out;
  }
  return std::nullopt;
}

bool IpAddress::is_wildcard() const {
  return std::all_of(bytes_.begin(), bytes_.end(), [](uint8_t byte) { return byte == 0; });
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes_[0] == 127;
  return bytes_[15] == 1 &&
         std::all_of(bytes_.begin(), bytes_.end() - 1, [](uint8_t b) { return b == 0; });
}

bool IpAddress::is_link_local() const {
  if (is_v4()) return bytes_[0] == 169 && bytes_[1] == 254;
  return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool IpAddress::is_multicast() const {
  return is_v4() ? (bytes_[0] & 0xf0) == 0xe0 : bytes_[0] == 0xff;
}

bool IpAddress::is_v4_mapped() const {
  static constexpr std::array<uint8_t, 12> kPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return !is_v4() && std::equal(kPrefix.begin(), kPrefix.end(), bytes_.begin());
}

std::optional<IpAddress> IpAddress::unmapped() const {
  if (!is_v4_mapped()) return std::nullopt;
  uint32_t network = 0;
  std::memcpy(&network, bytes_.data() + 12, kV4Bytes);
  return v4(ntohl(network));
}

std::string Endpoint::to_string() const {
  const std::string host = address.to_string();
  return (address.is_v4() ? host : "[" + host + "]") + ":" + std::to_string(port);
}

Result<Endpoint> parse_endpoint(std::string_view text) {
  const Error bad{"InvalidEndpoint",
                  "'" + std::string(text) +
                      "' is not ADDRESS:PORT: a numeric address (IPv6 in brackets) and a port from "
                      "1 to 65535"};
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad;
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  const auto port = parse_port(text.substr(colon + 1));
  if (!address || !port || address->is_v4() == bracketed) return bad;
  return Endpoint{*address, *port};
}

std::optional<std::string> refuse_address(const IpAddress& address, AddressUse use,
                                          bool kubernetes_key) {
  if (const auto inner = address.unmapped()) {
    if (auto why = refuse_address(*inner, use, kubernetes_key)) return why;
    return address.to_string() + " is an IPv4 address in IPv6 form; write it as IPv4";
  }
  const std::string text = address.to_string();
  const bool wildcard_listener = use == AddressUse::kListener && !kubernetes_key;
  if (address.is_wildcard()) {
    if (wildcard_listener) return std::nullopt;
    return text + " is the unspecified address";
  }
  if (in_v4(address, 0, 8)) return text + " is in 0.0.0.0/8, which no host has";
  if (address.is_link_local()) return text + " is link-local";
  if (address.is_multicast()) return text + " is a multicast address";
  if (address == IpAddress::v4(0xffffffff)) return text + " is the broadcast address";
  if (kubernetes_key && address.is_loopback()) return text + " is a loopback address";
  return std::nullopt;
}

}  // namespace lb
