// Where a program of ours listens or is asked: a unix socket or a TCP endpoint. Plain values.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "common/model/address.hpp"
#include "common/model/result.hpp"

namespace lb::net {

struct UnixPath {
  std::string path;
  bool operator==(const UnixPath&) const = default;
};

using SocketAddress = std::variant<UnixPath, Endpoint>;

// "unix:/path" or "tcp:HOST:PORT", HOST numeric, v6 in brackets. Error "Address".
Result<SocketAddress> parse_socket_address(std::string_view text);
std::string to_string(const SocketAddress& address);

// The folder of our sockets: /run/empalme for root, else the user's runtime folder, else one in
// /tmp that belongs to the user alone.
std::string default_socket_folder();

}  // namespace lb::net
