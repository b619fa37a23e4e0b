// The few ARP and Neighbour Discovery frames that we send and read. Pure; any thread.
//
// RFC 826 and RFC 5227 (ARP probe and announcement), RFC 4861 (neighbour solicitation and
// advertisement) in Ethernet frames. Reading is strict about lengths and takes nothing on trust.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/model/address.hpp"

namespace lb::announce {

using Mac = std::array<uint8_t, 6>;
using Frame = std::vector<uint8_t>;

std::string to_string(const Mac& mac);

// Asks whether anybody has the address, without claiming it: ARP probe (sender 0.0.0.0), or a
// solicitation from the unspecified address.
Frame probe_frame(const Mac& from, const IpAddress& address);

// Tells everybody that the address is here: gratuitous ARP, or an unsolicited advertisement that
// overrides.
Frame announcement_frame(const Mac& from, const IpAddress& address);

// Somebody says by this frame that it has the address, or is about to take it (a probe).
struct Claim {
  IpAddress address;
  Mac mac{};

  bool operator==(const Claim&) const = default;
};
std::optional<Claim> read_claim(std::span<const uint8_t> frame);

}  // namespace lb::announce
