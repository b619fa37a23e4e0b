#include "controller/sources/watched_folders.hpp"

#include <filesystem>

namespace lb::sources {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // as many as the kernel follows

fs::path nearest_folder(fs::path folder) {
  std::error_code error;
  while (!fs::is_directory(folder, error) && folder != folder.parent_path()) {
    folder = folder.parent_path();
  }
  return folder;
}

void add(const fs::path& path, int links, std::set<std::string>& out) {
  out.insert(nearest_folder(path.parent_path()).string());
  fs::path walked;
  for (auto part = path.begin(); part != path.end(); ++part) {
    walked /= *part;
    std::error_code error;
    if (!fs::is_symlink(walked, error) || links == 0) continue;
    out.insert(walked.parent_path().string());
    // As the kernel walks: not normalised, for ".." behind a link leads elsewhere.
    fs::path target = walked.parent_path() / fs::read_symlink(walked, error);
    for (auto rest = std::next(part); rest != path.end(); ++rest) target /= *rest;
    return add(target, links - 1, out);
  }
}

}  // namespace

void add_watched_folders(const std::string& path, std::set<std::string>& out) {
  std::error_code error;
  const fs::path whole = fs::absolute(path, error);
  if (!error) add(whole, kMostLinks, out);
}

}  // namespace lb::sources
