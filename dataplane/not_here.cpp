#include "dataplane/not_here.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <optional>
#include <string>

#include "common/net/fd.hpp"
#include "common/net/interfaces.hpp"
#include "common/net/sockaddr.hpp"

namespace lb::dataplane {
namespace {

// As a dial would find it; an address of 127.0.0.0/8 is here without being on an interface.
bool can_dial_from(const IpAddress& address) {
  const net::Fd probe(::socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto at = net::to_sockaddr(Endpoint{address, 0});
  return ::bind(probe.get(), at.get(), at.length) == 0 || errno != EADDRNOTAVAIL;
}

std::optional<Error> missing_interface(const Config& config) {
  if (config.announce == Announce::kAuto && !net::own_interface()) {
    return Error{"NoInterface",
                 "--announce auto finds no interface with the address of this node; addresses are "
                 "not announced until there is one"};
  }
  if (config.announce == Announce::kInterface && !net::interface_info(config.interface)) {
    return Error{"NoInterface", "--announce interface:" + config.interface +
                                    ": there is no such interface; addresses are not announced "
                                    "until there is"};
  }
  return std::nullopt;
}

}  // namespace

std::vector<Error> not_here(const Config& config) {
  std::vector<Error> out;
  if (auto missing = missing_interface(config)) out.push_back(*std::move(missing));
  for (const auto& address : config.spare_sources) {
    if (can_dial_from(address)) continue;
    out.push_back({"NoSuchAddress", "--spare-sources has " + address.to_string() +
                                        ", which this host does not have; dials from it fail"});
  }
  return out;
}

}  // namespace lb::dataplane
