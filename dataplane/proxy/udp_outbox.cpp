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

uint32_t UdpOutbox::lead_of(const UdpSession& session) const {
  return towards_ == Towards::kOneBackend ? uint32_t(session.introduction.size()) : 0;
}

void UdpOutbox::put(const UdpSession& session, const UdpDatagram& datagram) {
  if (const uint32_t lead = lead_of(session); lead != 0) {
    vectors_[used_++] = {const_cast<char*>(session.introduction.data()), lead};
  }
  vectors_[used_++] = {datagram.data, datagram.size};
}

void UdpOutbox::add(UdpSession& session, const UdpDatagram& datagram) {
  if (!may_join(session, datagram)) return begin(session, datagram);
  Message& message = messages_[size_ - 1];
  put(session, datagram);
  if (message.bytes == message.unit) note_segment(size_ - 1);
  message.bytes += message.lead + datagram.size;
  message.open = message.lead + datagram.size == message.unit;
  headers_[size_ - 1].msg_hdr.msg_iovlen += message.stride;
}

bool UdpOutbox::may_join(const UdpSession& session, const UdpDatagram& datagram) const {
  if (size_ == 0 || !options_.trains) return false;
  const Message& last = messages_[size_ - 1];
  const uint32_t size = last.lead + datagram.size;
  // A backend that may not listen refuses a whole train at once, but single ones one by one.
  const bool trains =
      towards_ == Towards::kClients ? session.trains_out : session.trains_in && session.proven;
  return last.session == &session && last.open && trains && datagram.segment == 0 && size != 0 &&
         size <= last.unit && last.bytes + size <= kLargestTrain;
}

void UdpOutbox::begin(UdpSession& session, const UdpDatagram& datagram) {
  const uint32_t lead = lead_of(session);
  const uint32_t bytes = lead + datagram.size;
  const uint32_t unit = datagram.segment != 0 ? datagram.segment : bytes;
  const bool may_grow = datagram.segment == 0 && unit != 0 && unit <= kLargestUnit;
  const uint32_t stride = lead == 0 ? 1 : 2;
  messages_[size_] = {&session, bytes, unit, lead, used_, stride, may_grow};
  msghdr& header = headers_[size_].msg_hdr;
  header.msg_iov = &vectors_[used_];
  header.msg_iovlen = stride;
  put(session, datagram);
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

uint32_t UdpOutbox::bytes(unsigned message) const {
  return messages_[message].bytes - datagrams(message) * messages_[message].lead;
}

uint32_t UdpOutbox::piece_bytes(unsigned message, uint32_t piece) const {
  const Message& whole = messages_[message];
  return std::min(whole.unit, whole.bytes - piece * whole.unit) - whole.lead;
}

// A train is either one block that the kernel had put together, or the vectors of each datagram.
bool UdpOutbox::send_piece(int fd, unsigned message, uint32_t piece) {
  const Message& whole = messages_[message];
  msghdr header = headers_[message].msg_hdr;
  iovec part;
  if (header.msg_iovlen == 1) {
    auto* block = static_cast<char*>(vectors_[whole.first].iov_base);
    part = {block + piece * whole.unit, piece_bytes(message, piece)};
    header.msg_iov = &part;
  } else {
    header.msg_iov = &vectors_[whole.first + piece * whole.stride];
    header.msg_iovlen = whole.stride;
  }
  if (is_train(message)) header.msg_controllen -= CMSG_SPACE(sizeof(uint16_t));
  return sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

}  // namespace lb::proxy
