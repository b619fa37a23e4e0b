#include "controller/sources/read_file.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace lb::sources {

namespace {

// Of standard input: where we are.
std::string folder_of(const std::string& path) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(path == "-" ? "." : path, error);
  if (error) return {};
  return (path == "-" ? absolute : absolute.parent_path()).lexically_normal().string();
}

}  // namespace

// stdio and not streams: it reports a directory as an error, where a filebuf throws.
Result<std::string> read_file(const std::string& path) {
  std::FILE* file = path == "-" ? stdin : std::fopen(path.c_str(), "rb");
  if (file == nullptr) return Error{"Unreadable", std::strerror(errno)};
  std::string text;
  char block[16384];
  errno = 0;
  while (const size_t got = std::fread(block, 1, sizeof block, file)) text.append(block, got);
  const int error = std::ferror(file) != 0 ? (errno != 0 ? errno : EIO) : 0;
  if (file != stdin) std::fclose(file);
  if (error != 0) return Error{"Unreadable", std::strerror(error)};
  return text;
}

std::optional<FileStamp> stamp_of(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) return std::nullopt;
  return FileStamp{found.st_dev, found.st_ino, static_cast<uint64_t>(found.st_size),
                   found.st_ctim.tv_sec, found.st_ctim.tv_nsec};
}

Result<std::vector<FileLayer>> read_layers(const std::vector<std::string>& paths) {
  std::vector<FileLayer> out;
  for (const auto& path : paths) {
    auto text = read_file(path);
    if (!text) return Error{"Source", path + ": " + text.error().message};
    out.push_back({path, std::move(text).value(), folder_of(path)});
  }
  return out;
}

}  // namespace lb::sources
