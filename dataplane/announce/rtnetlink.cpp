#include "dataplane/announce/rtnetlink.hpp"

#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
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

LocalAddress read_address(const nlmsghdr* header) {
  const auto* message = static_cast<const ifaddrmsg*>(NLMSG_DATA(header));
  LocalAddress out;
  out.interface = static_cast<int>(message->ifa_index);
  size_t left = IFA_PAYLOAD(header);
  for (const rtattr* each = IFA_RTA(message); RTA_OK(each, left); each = RTA_NEXT(each, left)) {
    const void* data = RTA_DATA(each);
    if (each->rta_type == kIfaProto) {
      out.ours = *static_cast<const uint8_t*>(data) == kOurProto;
    } else if (message->ifa_family == AF_INET && each->rta_type == IFA_LOCAL) {
      uint32_t raw;
      std::memcpy(&raw, data, sizeof raw);
      out.address = IpAddress::v4(__builtin_bswap32(raw));
    } else if (message->ifa_family == AF_INET6 && each->rta_type == IFA_ADDRESS) {
      std::array<uint8_t, 16> raw;
      std::memcpy(raw.data(), data, raw.size());
      out.address = IpAddress::v6(raw);
    }
  }
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

Status Rtnetlink::exchange(const void* request, size_t length, uint32_t sequence) {
  if (::send(socket_.get(), request, length, 0) < 0) return explain(errno);
  alignas(nlmsghdr) char buffer[kBuffer];
  for (;;) {
    const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return explain(errno);
    auto left = static_cast<size_t>(got);
    for (auto* each = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(each, left);
         each = NLMSG_NEXT(each, left)) {
      if (each->nlmsg_seq != sequence || each->nlmsg_type != NLMSG_ERROR) continue;
      const int code = -static_cast<const nlmsgerr*>(NLMSG_DATA(each))->error;
      if (code == 0 || code == EADDRNOTAVAIL) return Done{};
      return explain(code);
    }
  }
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
  alignas(nlmsghdr) char buffer[kBuffer];
  for (;;) {
    const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return explain(errno);
    auto left = static_cast<size_t>(got);
    for (auto* each = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(each, left);
         each = NLMSG_NEXT(each, left)) {
      if (each->nlmsg_seq != sequence_) continue;
      if (each->nlmsg_type == NLMSG_DONE) return out;
      if (each->nlmsg_type == NLMSG_ERROR) return explain(EIO);
      if (each->nlmsg_type == RTM_NEWADDR) out.push_back(read_address(each));
    }
  }
}

}  // namespace lb::announce
