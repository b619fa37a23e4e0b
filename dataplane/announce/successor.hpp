// Whether the process that has taken over from us still lives: it reads keepalived's events from a
// pipe of its own, which it has put in the place of ours.
//
// That works across process namespaces too. One with another state folder is never seen, and so
// never lost. Control thread; nothing throws.
#pragma once

#include <cstdint>
#include <string>

namespace lb::announce {

class Successor {
 public:
  enum class State : uint8_t { kNotSeen, kThere, kGone };

  // `own`: the descriptor of the pipe that was ours, still open. An answer that cannot be had (no
  // descriptor is left) is the one before.
  State look(const std::string& pipe, int own);

 private:
  bool seen_ = false;
};

}  // namespace lb::announce
