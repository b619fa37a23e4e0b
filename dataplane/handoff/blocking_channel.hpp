// The client's end of the handoff's socket: documents and descriptors with one deadline for all.
//
// Blocking, on whatever thread starts the program; nothing here throws. After an error the channel
// is of no further use. Error codes: those of handoff_message.hpp and descriptor_passing.hpp,
// "HandoffTimeout", and "HandoffSocket" for a failure of the socket itself.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/result.hpp"
#include "common/net/fd.hpp"

namespace lb::handoff {

class BlockingChannel {
 public:
  using Clock = std::chrono::steady_clock;

  // nullopt when nobody listens at `path`; error "HandoffPeer" when a stranger does.
  static Result<std::optional<BlockingChannel>> connect(const std::string& path,
                                                        Clock::time_point deadline);

  void set_deadline(Clock::time_point deadline) { deadline_ = deadline; }

  Status send_document(std::string_view text);
  Result<std::string> receive_document(size_t limit);
  Result<std::vector<net::Fd>> receive_descriptors(size_t count);

  int descriptor() const { return socket_.get(); }

 private:
  BlockingChannel(net::Fd socket, Clock::time_point deadline);

  Status wait_for(short events) const;
  Status send_all(std::string_view bytes);
  Status receive_all(char* into, size_t length);

  net::Fd socket_;  // non-blocking
  Clock::time_point deadline_;
};

}  // namespace lb::handoff
