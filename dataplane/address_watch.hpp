// Tells when this host's addresses have changed, as rtnetlink(7) says it.
//
// Many changes that come together are told once, a little later; a renewed lifetime counts as one.
// On the io_context's thread, and destroyed there; nothing is told afterwards. Where the kernel has
// no socket for it, nothing is ever told, and open() says why.
#pragma once

#include <functional>
#include <memory>

#include "common/model/result.hpp"
#include "common/net/asio.hpp"

namespace lb::dataplane {

class AddressWatch {
 public:
  static Result<std::unique_ptr<AddressWatch>> open(asio::io_context& io,
                                                    std::function<void()> on_change);
  // Use open().
  AddressWatch(asio::io_context& io, int socket, std::function<void()> on_change);
  AddressWatch(const AddressWatch&) = delete;
  AddressWatch& operator=(const AddressWatch&) = delete;

 private:
  void wait();
  void read();
  void tell_soon();

  const std::function<void()> on_change_;
  asio::posix::stream_descriptor socket_;
  asio::steady_timer pause_;
  bool telling_ = false;
};

}  // namespace lb::dataplane
