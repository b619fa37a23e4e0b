// The query of a request target (RFC 3986 section 3.4): name=value pairs joined by '&'. Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lb::net {

// Percent-decoded, in their order. A broken escape is kept as it stands.
std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query);

// For a value of ours in a query.
std::string percent_encode(std::string_view text);

}  // namespace lb::net
