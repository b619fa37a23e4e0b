// A kubeconfig, as a person may have written it: read or refused, and no secret in the refusal.
#include <sys/mman.h>
#include <unistd.h>

#include "controller/kube/credentials.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using lb::fuzz::must;

// A file without a folder.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view text) : fd_(::memfd_create("kubeconfig", MFD_CLOEXEC)) {
    must(fd_ >= 0, "a file in memory");
    must(::write(fd_, text.data(), text.size()) == static_cast<ssize_t>(text.size()), "is written");
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string name() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const MemoryFile file(lb::fuzz::as_text(data, size));
  const auto access = lb::kube::kubeconfig_access(file.name());
  if (!access) {
    must(access.error().code == "Credentials", "a refusal has its code");
    must(access.error().message.starts_with(file.name()), "a refusal names the file");
    return 0;
  }
  must(access->server.starts_with("http://") || access->server.starts_with("https://"),
       "a server has a URL");
  must(!access->server.ends_with('/'), "a server's URL has no path of its own");
  return 0;
}
