#include "dataplane/proxy/udp_batch.hpp"

#include <netinet/in.h>
#include <netinet/udp.h>

#include <cstring>

namespace lb::proxy {
namespace {

constexpr size_t kStride = UdpBatch::kRoom + 17 * 64;

}  // namespace

UdpBatch::UdpBatch(Senders senders)
    : memory_(new char[kStride * kSlots]), many_(senders == Senders::kMany) {
  for (unsigned i = 0; i < kSlots; ++i) {
    datagrams_[i].data = &memory_[kStride * i];
    vectors_[i] = {datagrams_[i].data, kRoom};
    headers_[i].msg_hdr.msg_iov = &vectors_[i];
    headers_[i].msg_hdr.msg_iovlen = 1;
    rearm(i, noted_);
  }
}

int UdpBatch::receive(int fd, unsigned first, unsigned most, bool notes) {
  if (notes != noted_) {
    for (unsigned i = 0; i < kSlots; ++i) rearm(i, notes);
    noted_ = notes;
  }
  const int count = recvmmsg(fd, &headers_[first], most, MSG_DONTWAIT, nullptr);
  for (unsigned i = first; count > 0 && i < first + unsigned(count); ++i) {
    datagrams_[i].size = headers_[i].msg_len;
    datagrams_[i].truncated = (headers_[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
    datagrams_[i].segment = 0;
    if (notes) read_notes(i);
    rearm(i, notes);
  }
  return count;
}

int UdpBatch::receive_one(int fd, unsigned slot) {
  const ssize_t size = recv(fd, datagrams_[slot].data, kRoom, MSG_DONTWAIT | MSG_TRUNC);
  if (size < 0) return -1;
  datagrams_[slot].size = uint32_t(size);
  datagrams_[slot].truncated = size_t(size) > kRoom;
  datagrams_[slot].segment = 0;
  return 1;
}

// What a call has used up; the sender stays readable.
void UdpBatch::rearm(unsigned slot, bool notes) {
  msghdr& header = headers_[slot].msg_hdr;
  if (many_) {
    header.msg_name = &senders_[slot];
    header.msg_namelen = sizeof senders_[slot];
  }
  header.msg_control = notes ? notes_[slot].bytes : nullptr;
  header.msg_controllen = notes ? sizeof notes_[slot].bytes : 0;
}

void UdpBatch::read_notes(unsigned slot) {
  locals_[slot] = {};
  msghdr& header = headers_[slot].msg_hdr;
  for (cmsghdr* note = CMSG_FIRSTHDR(&header); note != nullptr; note = CMSG_NXTHDR(&header, note)) {
    if (note->cmsg_level == IPPROTO_UDP && note->cmsg_type == UDP_GRO) {
      int segment = 0;
      std::memcpy(&segment, CMSG_DATA(note), sizeof segment);
      if (uint32_t(segment) < datagrams_[slot].size) datagrams_[slot].segment = uint16_t(segment);
    } else if (note->cmsg_level == IPPROTO_IP && note->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(note), sizeof info);
      // Ours, even where the datagram was sent to a broadcast address.
      locals_[slot][0] = info.ipi_spec_dst.s_addr;
    } else if (note->cmsg_level == IPPROTO_IPV6 && note->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(note), sizeof info);
      std::memcpy(locals_[slot].data(), &info.ipi6_addr, 16);
    }
  }
}

}  // namespace lb::proxy
