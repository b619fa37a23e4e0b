#include "common/net/descriptors.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <memory>

namespace lb::net {
namespace {

constexpr char kFolder[] = "/proc/self/fd";

uint64_t count_entries() {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(kFolder), ::closedir);
  uint64_t entries = 0;
  while (folder && ::readdir(folder.get()) != nullptr) ++entries;
  // Without ".", ".." and the folder's own.
  return entries > 3 ? entries - 3 : 0;
}

}  // namespace

uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
}

std::optional<uint64_t> told_descriptors() {
  struct stat folder {};
  if (::stat(kFolder, &folder) != 0 || folder.st_size <= 0) return std::nullopt;
  return static_cast<uint64_t>(folder.st_size);
}

uint64_t open_descriptors() {
  const auto told = told_descriptors();
  return told ? *told : count_entries();
}

}  // namespace lb::net
