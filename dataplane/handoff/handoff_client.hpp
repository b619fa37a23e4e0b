// The coming process's side of a hitless upgrade: takes what the running one offers.
//
// Blocking; used once at start, before any listener, the state folder or the announcer is opened:
//
//   auto taken = take_over(path, version, timeout);  // error: start as without a handoff, or exit
//   if (taken.ok() && taken->has_value()) {
//     ... apply (*taken)->state with (*taken)->listeners, all but accepting ...
//     auto final_counters = (*taken)->confirm(true);
//     ... accept ...
//   }
//
// Between the two calls both processes have the same sockets, and what the new one accepts ends
// with it if it fails; nothing that a failure would undo at a cost, such as added sockets or a save
// of the state, belongs there. Destroying Taken
// without confirm() closes what was not moved out of it, and the running process goes on as before.
// Error codes: those of handoff_message.hpp, descriptor_passing.hpp and blocking_channel.hpp, and
// "HandoffSocketMismatch" when a descriptor is not the listening socket that its label says.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "common/model/result.hpp"
#include "common/net/fd.hpp"
#include "dataplane/handoff/blocking_channel.hpp"
#include "dataplane/handoff/handoff_message.hpp"

namespace lb::handoff {

struct TakenSocket {
  SocketLabel label;
  net::Fd fd;  // non-blocking and close-on-exec, as in the process that offered it
};

class Taken {
 public:
  std::string version;  // of the running process
  unsigned workers = 1;
  Counters counters;  // as of the offer; confirm() has the last ones
  std::vector<TakenSocket> listeners;
  std::string state;
  net::Fd lock;  // invalid when there is none; never unlock it, only close it (flock(2))

  // `serving`: we accept at once when this returns; the counters that the other process ends with.
  // It has then closed its copies and its handoff socket, so ours can be opened. Otherwise `why` is
  // told and the answer is empty. An error after serving leaves the sockets usable, but it is not
  // known whether the other process still accepts as well.
  Result<Counters> confirm(bool serving, const std::string& why = {});

 private:
  friend Result<std::optional<Taken>> take_over(const std::string&, const std::string&,
                                                std::chrono::milliseconds);
  Taken(BlockingChannel channel, OfferDocument document, std::vector<net::Fd> descriptors);

  BlockingChannel channel_;
};

// nullopt when nobody listens at `path`. `version` is ours, for the other's log. `timeout` bounds
// the whole call.
Result<std::optional<Taken>> take_over(const std::string& path, const std::string& version,
                                       std::chrono::milliseconds timeout);

// Whether a process listens at `path`: after a confirm() that failed it says that the other one has
// not released anything.
bool is_answered(const std::string& path);

// Whether `lock` is open on the file at `path`: a lock of another folder does not protect ours.
bool is_open_on(const net::Fd& lock, const std::string& path);

}  // namespace lb::handoff
