#include "dataplane/tls/key_folder.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "common/model/tls_policy.hpp"
#include "common/net/write_file.hpp"

namespace lb::tls {
namespace {

constexpr char kEnding[] = ".pem";
constexpr char kSlash = '%';  // no name has one
constexpr char kKeyMark[] = "PRIVATE KEY-----";

Error failure(const std::string& path, const char* what) { return {"KeysDir", path + ": " + what}; }

bool in_memory(const std::string& folder) {
  struct statfs about {};
  if (::statfs(folder.c_str(), &about) != 0) return false;
  return about.f_type == TMPFS_MAGIC || about.f_type == RAMFS_MAGIC;
}

std::string replaced(std::string text, char from, char to) {
  std::replace(text.begin(), text.end(), from, to);
  return text;
}

}  // namespace

Result<KeyFolder> KeyFolder::open(std::filesystem::path folder, bool persist) {
  std::error_code error;
  std::filesystem::create_directories(folder.parent_path(), error);
  const bool there = std::filesystem::exists(folder, error);
  if (!persist && !in_memory(there ? folder : folder.parent_path())) {
    return failure(folder, "is on a disk, where keys are kept only with --persist-keys");
  }
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return failure(folder, std::strerror(errno));
  }
  struct stat about {};
  if (::lstat(folder.c_str(), &about) != 0) return failure(folder, std::strerror(errno));
  if (!S_ISDIR(about.st_mode)) return failure(folder, "is no folder");
  if (about.st_uid != ::geteuid()) return failure(folder, "is somebody else's");
  if (::chmod(folder.c_str(), 0700) != 0) return failure(folder, std::strerror(errno));
  return KeyFolder(std::move(folder));
}

std::filesystem::path KeyFolder::file_of(const std::string& name) const {
  return folder_ / (replaced(name, '/', kSlash) + kEnding);
}

Status KeyFolder::save(const std::string& name, const net::SignedKey& text) const {
  std::string both = text.certificate + "\n" + text.key;
  const Status out = net::write_file(file_of(name), both);
  OPENSSL_cleanse(both.data(), both.size());
  return out;
}

Status KeyFolder::remove(const std::string& name) const {
  const auto file = file_of(name);
  if (::unlink(file.c_str()) == 0 || errno == ENOENT) return Done{};
  return failure(file, std::strerror(errno));
}

std::map<std::string, net::SignedKey> KeyFolder::load(
    const std::function<void(const Error&)>& report) const {
  std::map<std::string, net::SignedKey> out;
  std::error_code error;
  for (const auto& each : std::filesystem::directory_iterator(folder_, error)) {
    if (each.path().extension() != kEnding) continue;
    const std::string name = replaced(each.path().stem(), kSlash, '/');
    std::ifstream file(each.path(), std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    if (!file || !check_certificate_name(name)) {
      report(failure(each.path(), "is no certificate of ours"));
      continue;
    }
    const bool has_key = text.find(kKeyMark) != std::string::npos;
    out[name] = {text, has_key ? text : std::string()};
  }
  if (error) report(failure(folder_, error.message().c_str()));
  return out;
}

}  // namespace lb::tls
