#include "common/net/write_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "common/net/fd.hpp"

namespace lb::net {
namespace {

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

bool write_synced(const std::string& path, std::string_view text) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  return fd.valid() && write_all(fd.get(), text) && ::fsync(fd.get()) == 0;
}

// The rename is lasting only once the folder has been synced too.
bool sync_folder(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  const Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd.valid() && ::fsync(fd.get()) == 0;
}

}  // namespace

Status write_file(const std::string& path, std::string_view text) {
  const std::string temporary = path + ".tmp";
  const bool done = write_synced(temporary, text) &&
                    ::rename(temporary.c_str(), path.c_str()) == 0 && sync_folder(path);
  if (done) return Done{};
  const int number = errno;
  ::unlink(temporary.c_str());
  return Error{"File", "cannot write " + path + ": " + std::generic_category().message(number)};
}

}  // namespace lb::net
