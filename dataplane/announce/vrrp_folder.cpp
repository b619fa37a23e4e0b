#include "dataplane/announce/vrrp_folder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace lb::announce {
namespace {

Error trouble(const std::string& path) { return Error{"Vrrp", path + ": " + std::strerror(errno)}; }

}  // namespace

Status make_folder(const VrrpFiles& files) {
  std::error_code error;
  std::filesystem::create_directories(files.folder, error);
  if (error) return Error{"Vrrp", files.folder + ": " + error.message()};
  return Done{};
}

Result<net::Fd> make_pipe(const std::string& path) {
  const std::string fresh = path + ".new";
  ::unlink(fresh.c_str());
  if (::mkfifo(fresh.c_str(), 0600) != 0) return trouble(fresh);
  net::Fd out(::open(fresh.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (out.valid() && ::rename(fresh.c_str(), path.c_str()) == 0) return out;
  const auto why = trouble(path);
  ::unlink(fresh.c_str());
  return why;
}

Status replace_file(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  net::Fd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const bool written = file.valid() && ::write(file.get(), text.data(), text.size()) ==
                                           static_cast<ssize_t>(text.size());
  if (!written || ::rename(fresh.c_str(), path.c_str()) != 0) return trouble(path);
  return Done{};
}

}  // namespace lb::announce
