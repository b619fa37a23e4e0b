#include "dataplane/announce/undelivered.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "common/net/fd.hpp"

namespace lb::announce {
namespace {

// Our end is closed, and its FIN, with all before it, is not acknowledged.
constexpr uint32_t kStates = 1U << TCP_FIN_WAIT1 | 1U << TCP_CLOSING | 1U << TCP_LAST_ACK;
constexpr size_t kBuffer = 32 * 1024;

struct Request {
  nlmsghdr header{};
  inet_diag_req_v2 body{};
};

bool ask(int socket, int family) {
  Request request;
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.sdiag_family = static_cast<uint8_t>(family);
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_states = kStates;
  return ::send(socket, &request, sizeof request, 0) == static_cast<ssize_t>(sizeof request);
}

IpAddress source_of(const inet_diag_msg& message) {
  std::array<uint8_t, 16> raw;
  std::memcpy(raw.data(), message.id.idiag_src, raw.size());
  if (message.idiag_family == AF_INET6) return IpAddress::v6(raw);
  return IpAddress::v4(uint32_t{raw[0]} << 24 | uint32_t{raw[1]} << 16 | uint32_t{raw[2]} << 8 |
                       raw[3]);
}

// False: that was the last, or there is no more to be had.
bool read_some(int socket, const std::set<IpAddress>& among, std::set<IpAddress>& out) {
  alignas(nlmsghdr) char buffer[kBuffer];
  const ssize_t got = ::recv(socket, buffer, sizeof buffer, 0);
  if (got <= 0) return false;
  size_t left = static_cast<size_t>(got);
  for (auto* each = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(each, left);
       each = NLMSG_NEXT(each, left)) {
    if (each->nlmsg_type != SOCK_DIAG_BY_FAMILY) return false;
    const auto source = source_of(*static_cast<const inet_diag_msg*>(NLMSG_DATA(each)));
    if (among.contains(source)) out.insert(source);
  }
  return true;
}

}  // namespace

std::set<IpAddress> undelivered(const std::set<IpAddress>& among) {
  std::set<IpAddress> out;
  const net::Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!socket.valid()) return out;
  for (const int family : {AF_INET, AF_INET6}) {
    const bool any = std::any_of(among.begin(), among.end(), [family](const IpAddress& address) {
      return address.is_v4() == (family == AF_INET);
    });
    if (!any || !ask(socket.get(), family)) continue;
    while (read_some(socket.get(), among, out)) {
    }
  }
  return out;
}

}  // namespace lb::announce
