// Which folders tell of every change of some files: written in place, renamed over, or behind a
// link that is swapped (a ConfigMap's or a Secret's "..data"), wherever on its way the link is.
//
// Reads the disk; one thread. Costs little for many files of one folder.
#pragma once

#include <filesystem>
#include <set>
#include <string>

namespace lb::sources {

class WatchedFolders {
 public:
  void add(const std::string& path);
  // Of a folder that is not there the nearest one above it is one of them.
  const std::set<std::string>& all() const { return folders_; }

 private:
  using Path = std::filesystem::path;

  void add_file(const Path& file, int links);
  void add_folder(const Path& folder, int links);

  std::set<std::string> folders_;
  std::set<std::string> walked_;
};

}  // namespace lb::sources
