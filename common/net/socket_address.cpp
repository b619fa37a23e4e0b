#include "common/net/socket_address.hpp"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

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

Result<std::optional<Endpoint>> parse_observe(std::string_view text) {
  if (text.empty()) return std::optional<Endpoint>{};
  const auto observe = parse_endpoint(text);
  if (!observe) return Error{"Flag", "--observe: " + observe.error().message};
  if (observe->address.is_wildcard()) {
    return Error{"Flag", "--observe needs one address of this machine, not a wildcard"};
  }
  return std::optional<Endpoint>{*observe};
}

std::string default_socket_folder() {
  if (::getuid() == 0) return "/run/empalme";
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && *runtime != '\0') return std::string(runtime) + "/empalme";
  return "/tmp/empalme-" + std::to_string(::getuid());
}

Status check_private_folder(const std::string& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0)
    return Error{"Folder", path + ": " + std::strerror(errno)};
  const bool ours = S_ISDIR(found.st_mode) && found.st_uid == ::geteuid();
  if (ours && (found.st_mode & (S_IWGRP | S_IWOTH)) == 0) return Done{};
  return Error{"Folder", path + " is not a folder of ours alone: another user may write to it"};
}

}  // namespace lb::net
