#include "dataplane/proxy/dial_ports.hpp"

#include <cerrno>

#include "dataplane/proxy/sockets.hpp"

namespace lb::proxy {
namespace {

constexpr size_t kMostDry = 4096;  // what is beyond is forgotten, and asked again

}  // namespace

net::Fd DialPorts::connect(const Endpoint& backend, uint32_t source_v4, uint64_t now,
                           const SocketTuning& tuning, bool* tuned) {
  net::Fd fd;
  const size_t spares = spare_sources_ ? spare_sources_->size() : 0;
  for (size_t source = 0; source <= spares; ++source) {
    if (source > 0 && !fits(source, backend)) continue;
    if (!dry_until_.empty() && dry({backend, source}, now)) {
      errno = EADDRNOTAVAIL;
      continue;
    }
    fd = connect_from(source, backend, source_v4, tuning, tuned);
    if (fd.valid() && source > 0) ++moved_;
    if (fd.valid() || errno != EADDRNOTAVAIL) return fd;
    note_dry({backend, source}, now);
    errno = EADDRNOTAVAIL;
  }
  return fd;
}

net::Fd DialPorts::connect_from(size_t source, const Endpoint& backend, uint32_t source_v4,
                                const SocketTuning& tuning, bool* tuned) const {
  if (source == 0) return start_connect(backend, source_v4, tuning, tuned);
  return start_connect_from(backend, spare_sources_->address(source - 1), tuning, tuned);
}

bool DialPorts::fits(size_t source, const Endpoint& backend) const {
  return spare_sources_->usable(source - 1) &&
         spare_sources_->address(source - 1).is_v4() == backend.address.is_v4();
}

bool DialPorts::dry(const Pair& pair, uint64_t now) {
  const auto found = dry_until_.find(pair);
  if (found == dry_until_.end()) return false;
  if (now < found->second) return true;
  dry_until_.erase(found);
  return false;
}

void DialPorts::note_dry(const Pair& pair, uint64_t now) {
  if (dry_until_.size() >= kMostDry) dry_until_.clear();
  dry_until_[pair] = now + kRestMs;
}

}  // namespace lb::proxy
