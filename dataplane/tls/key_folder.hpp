// Certificates with their keys on disk, so that a restart serves before any controller is heard.
//
// A file each, 0600, in a folder of our own, 0700, apart from the state. Without leave to persist
// keys only a folder in memory will do (tmpfs, ramfs), so that they are gone with the machine.
// Control thread. What cannot be read or written is an error for the log: what is on disk is a hint
// and not the truth.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "common/model/result.hpp"
#include "common/net/certificates.hpp"

namespace lb::tls {

class KeyFolder {
 public:
  // Error "KeysDir": it cannot be made, or is on a disk and `persist` is false.
  static Result<KeyFolder> open(std::filesystem::path folder, bool persist);

  Status save(const std::string& name, const net::SignedKey& text) const;
  Status remove(const std::string& name) const;

  // All that can be read, by name.
  std::map<std::string, net::SignedKey> load(const std::function<void(const Error&)>& report) const;

 private:
  explicit KeyFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path file_of(const std::string& name) const;

  std::filesystem::path folder_;
};

}  // namespace lb::tls
