#include "common/net/listen_socket.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "common/net/sockaddr.hpp"

namespace lb::net {
namespace {

constexpr int kBacklog = 128;
constexpr mode_t kSocketMode = 0660;

Error failure(const SocketAddress& address, const std::string& why) {
  return {"Listen", "cannot listen on " + to_string(address) + ": " + why};
}

Fd make_socket(int family) {
  return Fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

bool answers(const UnixPath& path) {
  const Fd probe = make_socket(AF_UNIX);
  const SockAddr address = to_sockaddr(path);
  return ::connect(probe.get(), address.get(), address.length) == 0 || errno == EAGAIN;
}

// A socket file outlives its process; only one that nobody answers may be replaced.
Status clear_the_way(const UnixPath& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path folder = fs::path(path.path).parent_path();
  if (!fs::exists(folder, error)) {
    fs::create_directories(folder, error);
    if (error) return failure(path, folder.string() + ": " + error.message());
    fs::permissions(folder, fs::perms::owner_all, error);
  }
  // Root's folder is in /run, where nobody else can make one.
  if (::geteuid() != 0 && folder == default_socket_folder()) {
    if (const auto ours = check_private_folder(folder); !ours)
      return failure(path, ours.error().message);
  }
  struct stat found {};
  if (::lstat(path.path.c_str(), &found) != 0) return Done{};
  if (!S_ISSOCK(found.st_mode)) return failure(path, "a file that is no socket is in the way");
  if (answers(path)) return failure(path, "another process answers there");
  if (::unlink(path.path.c_str()) != 0) return failure(path, std::strerror(errno));
  return Done{};
}

Status bind_and_listen(const Fd& fd, const SocketAddress& address) {
  const SockAddr where = to_sockaddr(address);
  const bool is_unix = std::holds_alternative<UnixPath>(address);
  // The mode is set by the mask, so the socket never exists with a wider one.
  const mode_t mask = is_unix ? ::umask(0777 & ~kSocketMode) : 0;
  const int bound = ::bind(fd.get(), where.get(), where.length);
  const int error = errno;
  if (is_unix) ::umask(mask);
  if (bound != 0) return failure(address, std::strerror(error));
  if (::listen(fd.get(), kBacklog) != 0) return failure(address, std::strerror(errno));
  return Done{};
}

SocketAddress bound_address(const Fd& fd, const SocketAddress& asked) {
  if (std::holds_alternative<UnixPath>(asked)) return asked;
  SockAddr local;
  local.length = sizeof local.storage;
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&local.storage), &local.length);
  return to_endpoint(local);
}

}  // namespace

Result<ListenSocket> open_listener(const SocketAddress& address) {
  if (const auto* path = std::get_if<UnixPath>(&address)) {
    if (const auto clear = clear_the_way(*path); !clear) return clear.error();
  }
  Fd fd = make_socket(to_sockaddr(address).family());
  if (!fd.valid()) return failure(address, std::strerror(errno));
  const int on = 1;
  if (std::holds_alternative<Endpoint>(address)) {
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  }
  if (const auto bound = bind_and_listen(fd, address); !bound) return bound.error();
  SocketAddress local = bound_address(fd, address);
  return ListenSocket{std::move(fd), std::move(local)};
}

}  // namespace lb::net
