#include "controller/sources/watched_folders.hpp"

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

// Not normalised, for ".." behind a link leads elsewhere. Empty: it is no link.
fs::path target_of(const fs::path& link) {
  std::error_code error;
  if (!fs::is_symlink(link, error)) return {};
  return link.parent_path() / fs::read_symlink(link, error);
}

}  // namespace

void WatchedFolders::add(const std::string& path) {
  std::error_code error;
  const fs::path whole = fs::absolute(path, error);
  if (!error) add_file(whole, kMostLinks);
}

void WatchedFolders::add_file(const Path& file, int links) {
  if (links == 0) return;
  add_folder(file.parent_path(), links);
  const fs::path target = target_of(file);
  if (!target.empty()) add_file(target, links - 1);
}

void WatchedFolders::add_folder(const Path& folder, int links) {
  if (links == 0 || !walked_.insert(folder.string()).second) return;
  folders_.insert(nearest_folder(folder).string());
  fs::path walked;
  for (auto part = folder.begin(); part != folder.end(); ++part) {
    walked /= *part;
    fs::path target = target_of(walked);
    if (target.empty()) continue;
    folders_.insert(walked.parent_path().string());
    for (auto rest = std::next(part); rest != folder.end(); ++rest) target /= *rest;
    return add_folder(target, links - 1);
  }
}

}  // namespace lb::sources
