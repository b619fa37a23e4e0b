// Connects to backends, and what to do when this host has no local port left for one.
//
// About 28,000 connections fit between one local address and one backend
// (net.ipv4.ip_local_port_range, ip(7)); then connect(2) fails with EADDRNOTAVAIL after a search of
// the whole range. That is our want and not the backend's: the spare sources are tried next, in
// order, but for those that are announced (spare_sources.hpp), and a pair of source and backend
// that was found dry is not asked again for 100 ms, so that want of ports costs no search per
// connection. One object per engine, on its thread. Times in ms.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "common/model/address.hpp"
#include "common/net/fd.hpp"
#include "dataplane/proxy/socket_tuning.hpp"
#include "dataplane/proxy/spare_sources.hpp"

namespace lb::proxy {

class DialPorts {
 public:
  // Without spare sources: null.
  explicit DialPorts(std::shared_ptr<const SpareSources> spare_sources = {})
      : spare_sources_(std::move(spare_sources)) {}

  static constexpr uint64_t kRestMs = 100;

  // A non-blocking connect under way; invalid: errno says why. `source_v4`, `tuning` and
  // `tuned` as in sockets.hpp.
  net::Fd connect(const Endpoint& backend, uint32_t source_v4, uint64_t now,
                  const SocketTuning& tuning = {}, bool* tuned = nullptr);
  // Connects that were left to a spare source.
  uint64_t moved() const { return moved_; }

 private:
  // The routed source is 0, the spare ones follow.
  using Pair = std::pair<Endpoint, size_t>;

  net::Fd connect_from(size_t source, const Endpoint& backend, uint32_t source_v4,
                       const SocketTuning& tuning, bool* tuned) const;
  bool fits(size_t source, const Endpoint& backend) const;
  bool dry(const Pair& pair, uint64_t now);
  void note_dry(const Pair& pair, uint64_t now);

  const std::shared_ptr<const SpareSources> spare_sources_;
  std::map<Pair, uint64_t> dry_until_;
  uint64_t moved_ = 0;
};

}  // namespace lb::proxy
