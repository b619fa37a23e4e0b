#include "common/net/sockaddr.hpp"

#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace lb::net {

SockAddr to_sockaddr(const Endpoint& endpoint) {
  SockAddr out;
  if (endpoint.address.is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint.port);
    in.sin_addr.s_addr = htonl(endpoint.address.to_v4());
    std::memcpy(&out.storage, &in, sizeof in);
    out.length = sizeof in;
    return out;
  }
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(endpoint.port);
  std::memcpy(&in.sin6_addr, endpoint.address.bytes().data(), 16);
  std::memcpy(&out.storage, &in, sizeof in);
  out.length = sizeof in;
  return out;
}

SockAddr to_sockaddr(const UnixPath& path) {
  SockAddr out;
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  const size_t length = std::min(path.path.size(), sizeof un.sun_path - 1);
  std::memcpy(un.sun_path, path.path.data(), length);
  std::memcpy(&out.storage, &un, sizeof un);
  out.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length + 1);
  return out;
}

SockAddr to_sockaddr(const SocketAddress& address) {
  return std::visit([](const auto& each) { return to_sockaddr(each); }, address);
}

Endpoint to_endpoint(const SockAddr& address) {
  if (address.family() == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, &address.storage, sizeof in);
    return {IpAddress::v4(ntohl(in.sin_addr.s_addr)), ntohs(in.sin_port)};
  }
  if (address.family() != AF_INET6) return {};
  sockaddr_in6 in;
  std::memcpy(&in, &address.storage, sizeof in);
  std::array<uint8_t, 16> bytes;
  std::memcpy(bytes.data(), &in.sin6_addr, 16);
  return {IpAddress::v6(bytes), ntohs(in.sin6_port)};
}

}  // namespace lb::net
