#include "dataplane/announce/rtnetlink.hpp"

#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>

namespace lb::announce {
namespace {

// Not in older headers: who made an address (uapi/linux/if_addr.h, IFA_PROTO).
constexpr uint16_t kIfaProto = 11;
constexpr uint8_t kOurProto = 0xe3;
constexpr size_t kBuffer = 32 * 1024;

struct AddressRequest {
  nlmsghdr header{};
  ifaddrmsg address{};
  char attributes[256]{};

  void add(uint16_t type, const void* data, size_t length) {
    auto* at =
        reinterpret_cast<rtattr*>(reinterpret_cast<char*>(this) + NLMSG_ALIGN(header.nlmsg_len));
    at->rta_type = type;
    at->rta_len = static_cast<uint16_t>(RTA_LENGTH(length));
    std::memcpy(RTA_DATA(at), data, length);
    header.nlmsg_len =
        static_cast<uint32_t>(NLMSG_ALIGN(header.nlmsg_len) + RTA_ALIGN(at->rta_len));
  }
};

AddressRequest make_request(uint16_t type, uint16_t flags, int interface,
                            const IpAddress& address) {
  AddressRequest out;
  const size_t length = address.is_v4() ? 4 : 16;
  out.header.nlmsg_len = NLMSG_LENGTH(sizeof(ifaddrmsg));
  out.header.nlmsg_type = type;
  out.header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  out.address.ifa_family = address.is_v4() ? AF_INET : AF_INET6;
  out.address.ifa_prefixlen = static_cast<uint8_t>(length * 8);
  out.address.ifa_index = static_cast<uint32_t>(interface);
  out.add(IFA_LOCAL, address.bytes().data(), length);
  out.add(IFA_ADDRESS, address.bytes().data(), length);
  return out;
}

Error explain(int code) {
  if (code == EPERM || code == EACCES) {
    return {"PermissionDenied", "changing addresses needs CAP_NET_ADMIN"};
  }
  if (code == ENODEV) return {"NoInterface", "the interface is gone"};
  return {"Netlink", std::string("the kernel refused the address: ") + std::strerror(code)};
}

IpAddress address_in(const void* data, uint8_t family) {
  if (family == AF_INET) {
    uint32_t raw;
    std::memcpy(&raw, data, sizeof raw);
    return IpAddress::v4(__builtin_bswap32(raw));
  }
  std::array<uint8_t, 16> raw;
  std::memcpy(raw.data(), data, raw.size());
  return IpAddress::v6(raw);
}

// Kernels before 5.18 do not keep the mark: there, a host address that is never preferred and has
// seconds to live is one that we left.
bool looks_like_ours(const ifaddrmsg& message, const ifa_cacheinfo& life) {
  constexpr uint32_t kSecondsToLive = 5;
  const unsigned host_bits = message.ifa_family == AF_INET ? 32 : 128;
  return message.ifa_prefixlen == host_bits && life.ifa_prefered == 0 &&
         life.ifa_valid <= kSecondsToLive;
}

LocalAddress read_address(const nlmsghdr& header) {
  const auto* message = static_cast<const ifaddrmsg*>(NLMSG_DATA(&header));
  const auto holds_address = message->ifa_family == AF_INET ? IFA_LOCAL : IFA_ADDRESS;
  LocalAddress out;
  out.interface = static_cast<int>(message->ifa_index);
  std::optional<uint8_t> mark;
  ifa_cacheinfo life{};
  life.ifa_valid = UINT32_MAX;
  size_t left = IFA_PAYLOAD(&header);
  for (const rtattr* each = IFA_RTA(message); RTA_OK(each, left); each = RTA_NEXT(each, left)) {
    const void* data = RTA_DATA(each);
    if (each->rta_type == kIfaProto) mark = *static_cast<const uint8_t*>(data);
    if (each->rta_type == IFA_CACHEINFO) std::memcpy(&life, data, sizeof life);
    if (each->rta_type == holds_address) out.address = address_in(data, message->ifa_family);
  }
  out.ours = mark ? *mark == kOurProto : looks_like_ours(*message, life);
  return out;
}

}  // namespace

Result<Rtnetlink> Rtnetlink::open() {
  net::Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket.valid()) return explain(errno);
  return Rtnetlink(std::move(socket));
}

Status Rtnetlink::put(int interface, const IpAddress& address, uint32_t valid_seconds) {
  auto request = make_request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, interface, address);
  const uint32_t flags = IFA_F_NODAD | IFA_F_NOPREFIXROUTE;
  ifa_cacheinfo life{};
  life.ifa_valid = valid_seconds;
  life.ifa_prefered = 0;
  request.add(IFA_FLAGS, &flags, sizeof flags);
  request.add(IFA_CACHEINFO, &life, sizeof life);
  request.add(kIfaProto, &kOurProto, sizeof kOurProto);
  request.header.nlmsg_seq = ++sequence_;
  return exchange(&request, request.header.nlmsg_len, sequence_);
}

Status Rtnetlink::remove(int interface, const IpAddress& address) {
  auto request = make_request(RTM_DELADDR, 0, interface, address);
  request.header.nlmsg_seq = ++sequence_;
  return exchange(&request, request.header.nlmsg_len, sequence_);
}

// Hands every message of the answer to `take` until that has what it wants.
template <class Take>
Status Rtnetlink::receive(uint32_t sequence, Take take) {
  alignas(nlmsghdr) char buffer[kBuffer];
  for (;;) {
    const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return explain(errno);
    auto left = static_cast<size_t>(got);
    for (auto* each = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(each, left);
         each = NLMSG_NEXT(each, left)) {
      if (each->nlmsg_seq != sequence) continue;
      if (const std::optional<Status> over = take(*each)) return *over;
    }
  }
}

Status Rtnetlink::exchange(const void* request, size_t length, uint32_t sequence) {
  if (::send(socket_.get(), request, length, 0) < 0) return explain(errno);
  return receive(sequence, [](const nlmsghdr& message) -> std::optional<Status> {
    if (message.nlmsg_type != NLMSG_ERROR) return std::nullopt;
    const int code = -static_cast<const nlmsgerr*>(NLMSG_DATA(&message))->error;
    if (code == 0 || code == EADDRNOTAVAIL) return Status(Done{});
    return Status(explain(code));
  });
}

Result<std::vector<LocalAddress>> Rtnetlink::list() {
  struct {
    nlmsghdr header{};
    ifaddrmsg address{};
  } request;
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof(ifaddrmsg));
  request.header.nlmsg_type = RTM_GETADDR;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.header.nlmsg_seq = ++sequence_;
  if (::send(socket_.get(), &request, request.header.nlmsg_len, 0) < 0) return explain(errno);
  std::vector<LocalAddress> out;
  const auto read = receive(sequence_, [&](const nlmsghdr& message) -> std::optional<Status> {
    if (message.nlmsg_type == NLMSG_DONE) return Status(Done{});
    if (message.nlmsg_type == NLMSG_ERROR) return Status(explain(EIO));
    if (message.nlmsg_type == RTM_NEWADDR) out.push_back(read_address(message));
    return std::nullopt;
  });
  if (!read) return read.error();
  return out;
}

}  // namespace lb::announce
