// Datagrams on their way out of one socket: up to 64 messages for sendmmsg(2), built in place.
//
// Equal datagrams of one session that follow each other become one message that the kernel cuts
// again (udp(7), UDP_SEGMENT), which costs it one walk through its layers instead of many. Towards
// a backend each datagram follows its session's introduction, if there is one, and is cut together
// with it. Holds pointers only: sessions and data must stay until clear(). One thread.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <span>

#include "dataplane/proxy/udp_batch.hpp"
#include "dataplane/proxy/udp_session.hpp"

namespace lb::proxy {

class UdpOutbox {
 public:
  enum class Towards : uint8_t { kOneBackend, kClients };
  struct Options {
    bool trains = true;
  };
  UdpOutbox(Towards towards, Options options) : towards_(towards), options_(options) {}
  UdpOutbox(const UdpOutbox&) = delete;
  UdpOutbox& operator=(const UdpOutbox&) = delete;

  // Not for a train of which each datagram needs an introduction; only while there is room.
  void add(UdpSession& session, const UdpDatagram& datagram);
  bool full() const { return size_ == UdpBatch::kSlots || used_ + 2 > vectors_.size(); }
  void clear() { size_ = used_ = 0; }
  unsigned size() const { return size_; }

  UdpSession& session(unsigned message) const { return *messages_[message].session; }
  uint32_t bytes(unsigned message) const;  // without introductions
  uint32_t datagrams(unsigned message) const;
  bool is_train(unsigned message) const {
    return messages_[message].bytes > messages_[message].unit;
  }
  // The first datagram as it goes out.
  std::span<const iovec> first_piece(unsigned message) const {
    return {&vectors_[messages_[message].first], messages_[message].stride};
  }

  // As sendmmsg(2): how many messages went, or -1 and errno for the first of them.
  int send(int fd, unsigned first, unsigned count);
  // One datagram of a message by itself, for paths that take no trains. False: see errno.
  bool send_piece(int fd, unsigned message, uint32_t piece);
  uint32_t piece_bytes(unsigned message, uint32_t piece) const;

 private:
  struct Message {
    UdpSession* session;
    uint32_t bytes;   // with introductions, as is the next
    uint32_t unit;    // size of each datagram but the last
    uint32_t lead;    // of these the introduction
    uint32_t first;   // of vectors_
    uint32_t stride;  // vectors that make one datagram
    bool open;        // may grow
  };
  struct alignas(8) Notes {
    char bytes[96];
  };

  bool may_join(const UdpSession& session, const UdpDatagram& datagram) const;
  uint32_t lead_of(const UdpSession& session) const;
  void begin(UdpSession& session, const UdpDatagram& datagram);
  void put(const UdpSession& session, const UdpDatagram& datagram);
  void address(unsigned message);
  void note_segment(unsigned message);

  const Towards towards_;
  const Options options_;
  unsigned size_ = 0;
  unsigned used_ = 0;  // of vectors_
  std::array<Message, UdpBatch::kSlots> messages_;
  std::array<iovec, UdpBatch::kSlots * 2> vectors_;
  std::array<Notes, UdpBatch::kSlots> notes_;
  std::array<mmsghdr, UdpBatch::kSlots> headers_{};
};

}  // namespace lb::proxy
