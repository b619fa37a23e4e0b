#include "dataplane/announce/link_layer.hpp"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "common/net/fd.hpp"
#include "common/net/interfaces.hpp"
#include "dataplane/announce/rtnetlink.hpp"

namespace lb::announce {
namespace {

class RealLink : public LinkLayer {
 public:
  RealLink(asio::io_context& io, std::string interface) : io_(io), name_(std::move(interface)) {}

  Result<std::map<IpAddress, Ownership>> addresses() override {
    auto netlink = open();
    if (!netlink) return netlink.error();
    const auto all = netlink->list();
    if (!all) return all.error();
    std::map<IpAddress, Ownership> out;
    for (const auto& each : *all) {
      out[each.address] = each.ours ? Ownership::kOurs : Ownership::kForeign;
    }
    return out;
  }

  Result<LinkState> state() override {
    const auto link = find();
    if (!link) return link.error();
    return LinkState{link->mac, link->running};
  }

  Status put(const IpAddress& address, unsigned valid_seconds) override {
    const auto link = find();
    if (!link) return link.error();
    auto netlink = open();
    if (!netlink) return netlink.error();
    return netlink->put(link->index, address, valid_seconds);
  }

  Status remove(const IpAddress& address) override {
    const auto link = find();
    if (!link) return link.error();
    auto netlink = open();
    if (!netlink) return netlink.error();
    return netlink->remove(link->index, address);
  }

  Status send_probe(const IpAddress& address) override {
    return send([&](const Mac& mac) { return probe_frame(mac, address); }, address.is_v4());
  }
  Status send_announcement(const IpAddress& address) override {
    return send([&](const Mac& mac) { return announcement_frame(mac, address); }, address.is_v4());
  }

  Status listen(std::function<void(const Claim&)> on_claim) override {
    stop_listening();
    on_claim_ = std::move(on_claim);
    for (const uint16_t type : {ETH_P_ARP, ETH_P_IPV6}) {
      if (const auto opened = open_listener(type); !opened) return opened;
    }
    return Done{};
  }
  void stop_listening() override { listeners_.clear(); }

 private:
  Result<net::InterfaceInfo> find() const {
    std::string name = name_;
    if (name == "auto") {
      const auto own = net::own_interface();
      if (!own) {
        return Error{"NoInterface",
                     "--announce auto: no default route, and not exactly one interface with an "
                     "IPv4 address; name one with --announce interface:NAME"};
      }
      name = own->interface;
    }
    const auto info = net::interface_info(name);
    if (!info) return Error{"NoInterface", "there is no interface " + name};
    return *info;
  }

  static Result<Rtnetlink> open() { return Rtnetlink::open(); }

  static Error explain() {
    if (errno == EPERM) return {"PermissionDenied", "ARP and ND need CAP_NET_RAW"};
    return {"Link", std::string("ARP and ND failed: ") + std::strerror(errno)};
  }

  static sockaddr_ll address_of(const net::InterfaceInfo& link, uint16_t type) {
    sockaddr_ll out{};
    out.sll_family = AF_PACKET;
    out.sll_protocol = htons(type);
    out.sll_ifindex = link.index;
    out.sll_halen = 6;
    return out;
  }

  template <class MakeFrame>
  Status send(MakeFrame make_frame, bool v4) {
    const auto link = find();
    if (!link) return link.error();
    const net::Fd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    if (!socket.valid()) return explain();
    const Frame frame = make_frame(link->mac);
    const auto to = address_of(*link, v4 ? ETH_P_ARP : ETH_P_IPV6);
    const auto sent = ::sendto(socket.get(), frame.data(), frame.size(), 0,
                               reinterpret_cast<const sockaddr*>(&to), sizeof to);
    return sent < 0 ? Status(explain()) : Status(Done{});
  }

  Status open_listener(uint16_t type) {
    const auto link = find();
    if (!link) return link.error();
    net::Fd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.valid()) return explain();
    const auto where = address_of(*link, type);
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0) {
      return explain();
    }
    listeners_.push_back(std::make_shared<asio::posix::stream_descriptor>(io_, socket.release()));
    await_frame(listeners_.back(), link->mac);
    return Done{};
  }

  void await_frame(const std::shared_ptr<asio::posix::stream_descriptor>& listener,
                   const Mac& own) {
    listener->async_wait(
        asio::posix::stream_descriptor::wait_read,
        [this, weak = std::weak_ptr(listener), own](const boost::system::error_code& error) {
          const auto alive = weak.lock();
          if (error || !alive) return;
          std::array<uint8_t, 2048> frame;
          ssize_t got;
          while ((got = ::recv(alive->native_handle(), frame.data(), frame.size(), 0)) > 0) {
            const auto claim = read_claim({frame.data(), static_cast<size_t>(got)});
            if (claim && claim->mac != own && on_claim_) on_claim_(*claim);
          }
          await_frame(alive, own);
        });
  }

  asio::io_context& io_;
  const std::string name_;
  std::function<void(const Claim&)> on_claim_;
  std::vector<std::shared_ptr<asio::posix::stream_descriptor>> listeners_;
};

}  // namespace

std::unique_ptr<LinkLayer> make_link_layer(asio::io_context& io, std::string interface) {
  return std::make_unique<RealLink>(io, std::move(interface));
}

}  // namespace lb::announce
