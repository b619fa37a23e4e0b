#include "common/net/socket_address.hpp"

#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>

namespace lb::net {
namespace {

// The kernel keeps a terminating zero in sockaddr_un (unix(7)).
constexpr size_t kMaxUnixPath = sizeof(sockaddr_un::sun_path) - 1;

}  // namespace

Result<SocketAddress> parse_socket_address(std::string_view text) {
  if (text.starts_with("unix:/")) {
    const std::string path(text.substr(5));
    if (path.size() <= kMaxUnixPath) return SocketAddress{UnixPath{path}};
    return Error{"Address", "the socket path '" + path + "' is longer than the kernel takes, " +
                                std::to_string(kMaxUnixPath) + " bytes"};
  }
  if (!text.starts_with("tcp:")) {
    return Error{"Address",
                 "expected unix:/path or tcp:HOST:PORT, not '" + std::string(text) + "'"};
  }
  const auto endpoint = parse_endpoint(text.substr(4));
  if (!endpoint) return Error{"Address", endpoint.error().message};
  return SocketAddress{*endpoint};
}

std::string to_string(const SocketAddress& address) {
  if (const auto* path = std::get_if<UnixPath>(&address)) return "unix:" + path->path;
  return "tcp:" + std::get<Endpoint>(address).to_string();
}

std::string default_socket_folder() {
  if (::getuid() == 0) return "/run/empalme";
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && *runtime != '\0') return std::string(runtime) + "/empalme";
  return "/tmp/empalme-" + std::to_string(::getuid());
}

}  // namespace lb::net
