// Room for 64 datagrams of any size, filled by recvmmsg(2) and read in place.
//
// About 4.2 MiB of address space, of which only pages that were written to take memory: 256 KiB
// while datagrams are small. Slots lie an odd number of cache lines beyond 64 KiB apart, or the
// first bytes of all of them would compete for the same few lines. One thread.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <memory>

#include "dataplane/proxy/udp_key.hpp"

namespace lb::proxy {

// Valid until its slot is filled again.
struct UdpDatagram {
  char* data = nullptr;
  uint32_t size = 0;
  uint16_t segment = 0;  // not 0: a train of datagrams of this size, the last may be shorter
  bool truncated = false;
};

inline uint64_t count_of(const UdpDatagram& datagram) {
  if (datagram.segment == 0) return 1;
  return (uint64_t{datagram.size} + datagram.segment - 1) / datagram.segment;
}

class UdpBatch {
 public:
  static constexpr unsigned kSlots = 64;
  static constexpr size_t kRoom = 65'536;  // the largest is 65,507 bytes, 65,527 over IPv6

  enum class Senders : uint8_t { kOne, kMany };  // of a connected socket, or not
  explicit UdpBatch(Senders senders);
  UdpBatch(const UdpBatch&) = delete;
  UdpBatch& operator=(const UdpBatch&) = delete;

  // Fills up to `most` slots from `first` on with what waits; how many, or -1 and errno. `notes`:
  // whether the socket was told to add the local address or the segment size.
  int receive(int fd, unsigned first, unsigned most, bool notes);
  // The same for one datagram without notes, for less.
  int receive_one(int fd, unsigned slot);

  const UdpDatagram& operator[](unsigned slot) const { return datagrams_[slot]; }
  const UdpPeer& sender(unsigned slot) const { return senders_[slot]; }   // kMany only
  const RawAddress& local(unsigned slot) const { return locals_[slot]; }  // where it was sent to

 private:
  struct alignas(8) Notes {
    char bytes[96];
  };
  void rearm(unsigned slot, bool notes);
  void read_notes(unsigned slot);

  std::unique_ptr<char[]> memory_;
  bool many_;
  bool noted_ = false;  // the headers have room for notes
  std::array<UdpDatagram, kSlots> datagrams_;
  std::array<UdpPeer, kSlots> senders_;
  std::array<RawAddress, kSlots> locals_{};
  std::array<Notes, kSlots> notes_;
  std::array<iovec, kSlots> vectors_;
  std::array<mmsghdr, kSlots> headers_{};
};

}  // namespace lb::proxy
