#include "dataplane/proxy/udp_outbox.hpp"

#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cstring>

namespace lb::proxy {
namespace {

constexpr uint32_t kLargestUnit = 1472;     // what Ethernet carries; larger ones may be fragmented
constexpr uint32_t kLargestTrain = 60'000;  // the kernel's limit is one IP packet less headers

template <class T>
size_t write_note(char* at, int level, int type, const T& value) {
  cmsghdr header{};
  header.cmsg_len = CMSG_LEN(sizeof value);
  header.cmsg_level = level;
  header.cmsg_type = type;
  std::memset(at, 0, CMSG_SPACE(sizeof value));
  std::memcpy(at, &header, sizeof header);
  std::memcpy(at + CMSG_LEN(0), &value, sizeof value);
  return CMSG_SPACE(sizeof value);
}

// Makes the reply leave from the address that the client asked.
size_t write_source(char* at, const UdpSession& session) {
  if (session.key.local == RawAddress{}) return 0;
  if (session.client.base.sa_family == AF_INET) {
    in_pktinfo info{};
    info.ipi_spec_dst.s_addr = uint32_t(session.key.local[0]);
    return write_note(at, IPPROTO_IP, IP_PKTINFO, info);
  }
  in6_pktinfo info{};
  std::memcpy(&info.ipi6_addr, session.key.local.data(), 16);
  return write_note(at, IPPROTO_IPV6, IPV6_PKTINFO, info);
}

}  // namespace

void UdpOutbox::add(UdpSession& session, const UdpDatagram& datagram) {
  if (!may_join(session, datagram)) return begin(session, datagram);
  Message& message = messages_[size_ - 1];
  vectors_[used_++] = {datagram.data, datagram.size};
  if (message.bytes == message.unit) note_segment(size_ - 1);
  message.bytes += datagram.size;
  message.open = datagram.size == message.unit;
  headers_[size_ - 1].msg_hdr.msg_iovlen++;
}

bool UdpOutbox::may_join(const UdpSession& session, const UdpDatagram& datagram) const {
  if (size_ == 0 || !options_.trains) return false;
  const Message& last = messages_[size_ - 1];
  // A backend that may not listen refuses a whole train at once, but single ones one by one.
  const bool trains =
      towards_ == Towards::kClients ? session.trains_out : session.trains_in && session.proven;
  return last.session == &session && last.open && trains && datagram.segment == 0 &&
         datagram.size != 0 && datagram.size <= last.unit &&
         last.bytes + datagram.size <= kLargestTrain;
}

void UdpOutbox::begin(UdpSession& session, const UdpDatagram& datagram) {
  const uint32_t unit = datagram.segment != 0 ? datagram.segment : datagram.size;
  const bool may_grow = datagram.segment == 0 && unit != 0 && unit <= kLargestUnit;
  messages_[size_] = {&session, datagram.size, unit, used_, may_grow};
  vectors_[used_] = {datagram.data, datagram.size};
  msghdr& header = headers_[size_].msg_hdr;
  header.msg_iov = &vectors_[used_++];
  header.msg_iovlen = 1;
  address(size_++);
  if (datagram.segment != 0) note_segment(size_ - 1);
}

void UdpOutbox::address(unsigned message) {
  msghdr& header = headers_[message].msg_hdr;
  header.msg_control = notes_[message].bytes;
  header.msg_controllen = 0;
  if (towards_ == Towards::kOneBackend) return;
  UdpSession& session = *messages_[message].session;
  header.msg_name = &session.client;
  header.msg_namelen = length_of(session.client);
  header.msg_controllen = write_source(notes_[message].bytes, session);
}

void UdpOutbox::note_segment(unsigned message) {
  msghdr& header = headers_[message].msg_hdr;
  header.msg_controllen += write_note(notes_[message].bytes + header.msg_controllen, IPPROTO_UDP,
                                      UDP_SEGMENT, uint16_t(messages_[message].unit));
}

uint32_t UdpOutbox::datagrams(unsigned message) const {
  const Message& sent = messages_[message];
  return sent.unit == 0 ? 1 : (sent.bytes + sent.unit - 1) / sent.unit;
}

int UdpOutbox::send(int fd, unsigned first, unsigned count) {
  return sendmmsg(fd, &headers_[first], count, MSG_DONTWAIT | MSG_NOSIGNAL);
}

uint32_t UdpOutbox::piece_bytes(unsigned message, uint32_t piece) const {
  const Message& whole = messages_[message];
  return std::min(whole.unit, whole.bytes - piece * whole.unit);
}

// A train is either one block that the kernel had put together, or one vector for each datagram.
bool UdpOutbox::send_piece(int fd, unsigned message, uint32_t piece) {
  const Message& whole = messages_[message];
  msghdr header = headers_[message].msg_hdr;
  const bool one_block = header.msg_iovlen == 1;
  auto* block = static_cast<char*>(vectors_[whole.first + (one_block ? 0 : piece)].iov_base);
  iovec part{one_block ? block + piece * whole.unit : block, piece_bytes(message, piece)};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (is_train(message)) header.msg_controllen -= CMSG_SPACE(sizeof(uint16_t));
  return sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

}  // namespace lb::proxy
