#include "dataplane/announce/vrrp_peers.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

namespace lb::announce {

VrrpPeers::VrrpPeers(const VrrpFlags& flags, const IpAddress& self,
                     std::function<void(const Error&)> report)
    : always_(flags.peers), file_(flags.peers_file), self_(self), report_(std::move(report)) {
  read();
}

bool VrrpPeers::read() {
  const auto more = listed();
  if (!more) {
    ++errors_;
    if (more.error().message != complaint_) report_(more.error());
    complaint_ = more.error().message;
    return false;
  }
  complaint_.clear();
  std::set<IpAddress> others(always_.begin(), always_.end());
  others.insert(more->begin(), more->end());
  others.erase(self_);
  if (others == others_) return false;
  others_ = std::move(others);
  return true;
}

Result<std::vector<IpAddress>> VrrpPeers::listed() const {
  if (file_.empty()) return std::vector<IpAddress>{};
  errno = 0;
  std::ifstream file(file_);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file) return Error{"Vrrp", file_ + ": " + std::strerror(errno)};
  auto out = parse_peers(text);
  if (out && !out->empty() && out->front().is_v4() != self_.is_v4()) {
    return Error{"VrrpPeers", "the peers are of another family than " + self_.to_string()};
  }
  return out;
}

}  // namespace lb::announce
