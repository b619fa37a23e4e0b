#include "dataplane/announce/neighbour_packets.hpp"

#include <algorithm>
#include <cstdio>

namespace lb::announce {
namespace {

constexpr uint16_t kEtherArp = 0x0806;
constexpr uint16_t kEtherV6 = 0x86dd;
constexpr size_t kEthernet = 14;
constexpr size_t kArp = 28;
constexpr size_t kV6Header = 40;
constexpr size_t kNdBody = 24;  // solicitation or advertisement without options
constexpr uint8_t kIcmpV6 = 58;
constexpr uint8_t kHopLimit = 255;  // RFC 4861: anything else came from elsewhere
constexpr uint8_t kSolicitation = 135;
constexpr uint8_t kAdvertisement = 136;
constexpr uint8_t kOverride = 0x20;
constexpr uint8_t kTargetLinkAddress = 2;
constexpr Mac kBroadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

using V6 = std::array<uint8_t, 16>;

void put16(Frame& out, uint16_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}

template <class Bytes>
void put(Frame& out, const Bytes& bytes) {
  for (const uint8_t byte : bytes) out.push_back(byte);
}

std::array<uint8_t, 4> v4_bytes(const IpAddress& address) {
  const auto& bytes = address.bytes();
  return {bytes[0], bytes[1], bytes[2], bytes[3]};
}

uint16_t get16(std::span<const uint8_t> bytes, size_t at) {
  return static_cast<uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

Frame arp_request(const Mac& from, const IpAddress& sender, const IpAddress& target) {
  Frame out;
  put(out, kBroadcast);
  put(out, from);
  put16(out, kEtherArp);
  put16(out, 1);  // Ethernet
  put16(out, 0x0800);
  out.push_back(6);
  out.push_back(4);
  put16(out, 1);  // request
  put(out, from);
  put(out, v4_bytes(sender));
  put(out, Mac{});
  put(out, v4_bytes(target));
  return out;
}

// ff02::1:ffXX:XXXX of RFC 4291 section 2.7.1.
V6 solicited_node(const IpAddress& address) {
  const auto& from = address.bytes();
  return {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, from[13], from[14], from[15]};
}

Mac multicast_mac(const V6& group) {
  return {0x33, 0x33, group[12], group[13], group[14], group[15]};
}

// RFC 8200 section 8.1.
uint16_t checksum(const V6& source, const V6& destination, std::span<const uint8_t> body) {
  uint32_t sum = kIcmpV6 + static_cast<uint32_t>(body.size());
  for (size_t i = 0; i < 16; i += 2) sum += get16(source, i) + get16(destination, i);
  for (size_t i = 0; i + 1 < body.size(); i += 2) sum += get16(body, i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

Frame icmp_frame(const Mac& from, const V6& source, const V6& destination, Frame body) {
  const uint16_t sum = checksum(source, destination, body);
  body[2] = static_cast<uint8_t>(sum >> 8);
  body[3] = static_cast<uint8_t>(sum);
  Frame out;
  put(out, multicast_mac(destination));
  put(out, from);
  put16(out, kEtherV6);
  put16(out, 0x6000);
  put16(out, 0);
  put16(out, static_cast<uint16_t>(body.size()));
  out.push_back(kIcmpV6);
  out.push_back(kHopLimit);
  put(out, source);
  put(out, destination);
  put(out, body);
  return out;
}

Frame solicitation(const Mac& from, const IpAddress& target) {
  Frame body{kSolicitation, 0, 0, 0, 0, 0, 0, 0};
  put(body, target.bytes());
  return icmp_frame(from, V6{}, solicited_node(target), std::move(body));
}

Frame advertisement(const Mac& from, const IpAddress& address) {
  constexpr V6 kAllNodes{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  Frame body{kAdvertisement, 0, 0, 0, kOverride, 0, 0, 0};
  put(body, address.bytes());
  body.push_back(kTargetLinkAddress);
  body.push_back(1);  // in units of 8 bytes
  put(body, from);
  return icmp_frame(from, address.bytes(), kAllNodes, std::move(body));
}

Mac mac_at(std::span<const uint8_t> frame, size_t at) {
  Mac out;
  std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(at), out.size(), out.begin());
  return out;
}

IpAddress v4_at(std::span<const uint8_t> frame, size_t at) {
  return IpAddress::v4(static_cast<uint32_t>(get16(frame, at)) << 16 | get16(frame, at + 2));
}

std::optional<Claim> read_arp(std::span<const uint8_t> frame) {
  if (frame.size() < kEthernet + kArp) return std::nullopt;
  const bool ethernet_v4 = get16(frame, kEthernet) == 1 && get16(frame, kEthernet + 2) == 0x0800 &&
                           frame[kEthernet + 4] == 6 && frame[kEthernet + 5] == 4;
  if (!ethernet_v4) return std::nullopt;
  const Mac mac = mac_at(frame, kEthernet + 8);
  const IpAddress sender = v4_at(frame, kEthernet + 14);
  // A probe of somebody else for the same address is a claim too (RFC 5227 section 2.1.1).
  if (sender.is_wildcard()) return Claim{v4_at(frame, kEthernet + 24), mac};
  return Claim{sender, mac};
}

std::optional<Claim> read_nd(std::span<const uint8_t> frame) {
  if (frame.size() < kEthernet + kV6Header + kNdBody) return std::nullopt;
  const auto header = frame.subspan(kEthernet);
  const auto body = header.subspan(kV6Header);
  if (header[6] != kIcmpV6 || header[7] != kHopLimit) return std::nullopt;
  const bool unspecified =
      std::all_of(header.begin() + 8, header.begin() + 24, [](uint8_t byte) { return byte == 0; });
  const bool claims = body[0] == kAdvertisement || (body[0] == kSolicitation && unspecified);
  if (!claims) return std::nullopt;
  V6 target;
  std::copy_n(body.begin() + 8, target.size(), target.begin());
  return Claim{IpAddress::v6(target), mac_at(frame, 6)};
}

}  // namespace

std::string to_string(const Mac& mac) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
                mac[4], mac[5]);
  return text;
}

Frame probe_frame(const Mac& from, const IpAddress& address) {
  return address.is_v4() ? arp_request(from, IpAddress::v4(0), address)
                         : solicitation(from, address);
}

Frame announcement_frame(const Mac& from, const IpAddress& address) {
  return address.is_v4() ? arp_request(from, address, address) : advertisement(from, address);
}

std::optional<Claim> read_claim(std::span<const uint8_t> frame) {
  if (frame.size() < kEthernet) return std::nullopt;
  switch (get16(frame, 12)) {
    case kEtherArp:
      return read_arp(frame);
    case kEtherV6:
      return read_nd(frame);
    default:
      return std::nullopt;
  }
}

}  // namespace lb::announce
