// Between our address values and the kernel's. Any thread.
#pragma once

#include <sys/socket.h>

#include "common/model/result.hpp"
#include "common/net/socket_address.hpp"

namespace lb::net {

struct SockAddr {
  sockaddr_storage storage{};
  socklen_t length = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

SockAddr to_sockaddr(const Endpoint& endpoint);
SockAddr to_sockaddr(const UnixPath& path);
SockAddr to_sockaddr(const SocketAddress& address);
Endpoint to_endpoint(const SockAddr& address);  // 0.0.0.0:0 for other families

}  // namespace lb::net
