// Which connections of a shared address and port a service is for: names that TLS clients ask for
// (RFC 6066, section 3) and ranges that they come from.
//
// Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/model/result.hpp"
#include "common/model/state.hpp"

namespace lb {

inline constexpr size_t kMaxMatchSources = 256;  // of one port
inline constexpr size_t kMaxMatchAtoms = 4096;   // of one port: each name from each range

// In lower case: a host name, or "*." and one, which stands for every name that ends in it,
// whatever the number of labels before. "InvalidName" otherwise: addresses, empty labels, labels of
// more than 63 bytes, names of more than 253, anything but letters, digits, '-' and '_'.
Result<std::string> parse_server_name(std::string_view text);

// "TooLarge" above these bounds.
Status check_size(const Match& match);

// A name and a range; empty: any. Whoever holds it has all connections that fit no narrower one.
using MatchAtom = std::pair<std::string, std::string>;
// All that a match asks for; two services cannot both have one of them on an address and port.
std::vector<MatchAtom> atoms_of(const Match& match);
// "shop.example.com from 10.0.0.0/8", "all other names": what stands in the way, for people.
std::string describe(const MatchAtom& atom);

namespace wire {

class JsonWriter;
// The member "match" of what is being written, as the state has it; nothing for an empty one.
void put_match(JsonWriter& out, const Match& match);

}  // namespace wire

}  // namespace lb
