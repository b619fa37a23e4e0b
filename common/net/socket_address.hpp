// Where a program of ours listens or is asked: a unix socket or a TCP endpoint. Plain values.
#pragma once

#include <optional>
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

// HOST:PORT of a read-only listener without authentication: one address, never a wildcard. Errors
// are sentences that begin with the flag's name. Empty text: no such listener.
Result<std::optional<Endpoint>> parse_observe(std::string_view text);

// The folder of our sockets: /run/empalme for root, else the user's runtime folder, else one in
// /tmp that belongs to the user alone.
std::string default_socket_folder();

// Error "Folder" unless it is a folder of ours into which nobody else may write: others could put
// sockets and states of theirs there, where everybody knows the name.
Status check_private_folder(const std::string& path);

}  // namespace lb::net
