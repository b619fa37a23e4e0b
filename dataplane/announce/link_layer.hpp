// What an announcer needs of one network interface. The real one is rtnetlink and packet sockets.
//
// Lives on the control thread. Each failure is an Error as in rtnetlink.hpp.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "common/model/address.hpp"
#include "common/model/result.hpp"
#include "common/net/asio.hpp"
#include "dataplane/announce/neighbour_packets.hpp"

namespace lb::announce {

// Whose an address of this machine is.
enum class Ownership : uint8_t { kAbsent, kOurs, kForeign };

struct LinkState {
  Mac mac{};
  bool running = false;  // has a carrier

  bool operator==(const LinkState&) const = default;
};

class LinkLayer {
 public:
  virtual ~LinkLayer() = default;

  // Every address of this machine; one that is missing is kAbsent.
  virtual Result<std::map<IpAddress, Ownership>> addresses() = 0;
  virtual Result<LinkState> state() = 0;
  virtual Status put(const IpAddress& address, unsigned valid_seconds) = 0;
  virtual Status remove(const IpAddress& address) = 0;
  virtual Status send_probe(const IpAddress& address) = 0;
  virtual Status send_announcement(const IpAddress& address) = 0;
  // Listens for claims of others, until stopped; never reports frames of this interface.
  virtual Status listen(std::function<void(const Claim&)> on_claim) = 0;
  virtual void stop_listening() = 0;
};

// `interface` "auto" is the one with the node's own address, looked up afresh whenever it is
// needed.
std::unique_ptr<LinkLayer> make_link_layer(asio::io_context& io, std::string interface);

}  // namespace lb::announce
