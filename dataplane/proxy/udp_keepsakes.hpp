// Copies of datagrams that backends have not answered yet, for when one of them is refused.
//
// That a port is closed is learnt only after the datagram has gone (ICMP), so without a copy the
// client's question would be lost with its backend. A ring of 256 copies of up to 1,472 bytes, and
// an introduction, per worker: a session keeps its place while nobody else needs it, and loses it
// to a newer one. One thread.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "dataplane/proxy/udp_session.hpp"

namespace lb::proxy {

class UdpKeepsakes {
 public:
  static constexpr size_t kLargest = 1472 + 52;
  static constexpr uint32_t kPlaces = 256;

  // Replaces what was kept for the session. Too large: nothing is kept.
  void keep(UdpSession& session, std::span<const iovec> pieces) {
    size_t size = 0;
    for (const iovec& piece : pieces) size += piece.iov_len;
    if (size > kLargest) return forget(session);
    if (find(session) == nullptr) {
      session.kept = next_++ % kPlaces;
      (*places_)[session.kept].owner = &session;
    }
    Place& place = (*places_)[session.kept];
    place.size = 0;
    for (const iovec& piece : pieces) {
      std::memcpy(place.data + place.size, piece.iov_base, piece.iov_len);
      place.size = uint16_t(place.size + piece.iov_len);
    }
  }

  void keep(UdpSession& session, const void* data, size_t size) {
    const iovec piece{const_cast<void*>(data), size};
    keep(session, std::span(&piece, 1));
  }

  struct Copy {
    const char* data = nullptr;  // null: none is left
    size_t size = 0;
  };
  Copy copy_of(const UdpSession& session) const {
    const Place* place = find(session);
    return place == nullptr ? Copy{} : Copy{place->data, place->size};
  }

  // Needed before a session dies, and when its datagram must not be sent again.
  void forget(const UdpSession& session) {
    if (find(session) != nullptr) (*places_)[session.kept].owner = nullptr;
  }

 private:
  struct Place {
    const UdpSession* owner = nullptr;
    uint16_t size = 0;
    char data[kLargest];
  };
  const Place* find(const UdpSession& session) const {
    const Place& place = (*places_)[session.kept];
    return place.owner == &session ? &place : nullptr;
  }

  uint32_t next_ = 0;
  std::unique_ptr<std::array<Place, kPlaces>> places_ =
      std::make_unique<std::array<Place, kPlaces>>();
};

}  // namespace lb::proxy
