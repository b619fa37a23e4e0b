// The documents of a hitless upgrade: what the process that leaves and the one that comes tell
// each other. Pure: text in, values out. Any thread. Nothing throws.
//
// The two meet on a unix stream socket (unix(7)) where the running process listens. Each document
// is one JSON object behind its length in bytes, 32 bits in network order:
//
//   1. new -> old  {"handoff": 1, "version": "...", "want": "listeners"}
//   2. old -> new  {"handoff": 1, "version": "...", "workers": 2, "counters": {"accepted": 7},
//                   "listeners": [{"address": "192.0.2.1", "port": 80, "protocol": "tcp",
//                                  "worker": 0, "shared": false}],
//                   "lock": true, "state": "<the desired state that is held, as text>"}
//      and at once the descriptors (descriptor_passing.hpp): the lock of the state folder first if
//      "lock" is true, then one for each listener, in the order of the list.
//      Or {"handoff": 1, "refused": "why"}, and the connection ends.
//   3. new -> old  {"serving": true}, once it accepts; or {"serving": false, "why": "..."}
//   4. old -> new  {"released": true, "final_counters": {"accepted": 9}}
//
// "shared" marks the only socket of a listener that serves all workers; otherwise "worker" says
// whose it is, and a listener may have several entries of one worker. The process that leaves goes
// on as before unless it has read {"serving": true}. Members that are not known here are passed
// over, so that programs of different versions can talk; a member that is known has the type
// shown. "handoff" is raised only when that is not enough.
//
// Error codes: "HandoffDocument" (pointer and message say where and why), "HandoffTooLarge",
// "HandoffProtocol" (another version of this protocol), "HandoffRefused".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/result.hpp"
#include "dataplane/proxy/data_path.hpp"

namespace lb::handoff {

inline constexpr unsigned kProtocol = 1;
inline constexpr size_t kMaxOfferBytes = size_t{64} << 20;
inline constexpr size_t kMaxMessageBytes = size_t{1} << 20;  // what the new process says
inline constexpr size_t kMaxReleasedBytes = kMaxOfferBytes;
inline constexpr size_t kMaxListeners = 65536;
inline constexpr size_t kMaxCounters = size_t{1} << 18;
inline constexpr unsigned kMaxWorkers = 1024;

using Counters = std::map<std::string, uint64_t>;

struct Hello {
  std::string version;

  bool operator==(const Hello&) const = default;
};

// One listening socket.
struct SocketLabel {
  proxy::ListenerId listener;
  unsigned worker = 0;
  bool shared = false;

  auto operator<=>(const SocketLabel&) const = default;
};

struct OfferDocument {
  std::string version;
  unsigned workers = 1;
  Counters counters;
  std::vector<SocketLabel> listeners;
  bool lock = false;
  std::string state;  // UTF-8

  // Of the descriptors that follow.
  size_t descriptors() const { return listeners.size() + (lock ? 1 : 0); }
  bool operator==(const OfferDocument&) const = default;
};

struct Serving {
  bool serving = false;
  std::string why;  // empty when serving

  bool operator==(const Serving&) const = default;
};

struct Released {
  Counters final_counters;

  bool operator==(const Released&) const = default;
};

// Bytes that are not UTF-8 become U+FFFD in texts for people.
std::string encode(const Hello& hello);
Result<std::string> encode(const OfferDocument& offer);  // refuses what decode_offer() would
std::string encode_refusal(const std::string& why);
std::string encode(const Serving& serving);
std::string encode(const Released& released);

Result<Hello> decode_hello(std::string_view text);
Result<OfferDocument> decode_offer(std::string_view text);
Result<Serving> decode_serving(std::string_view text);
Result<Released> decode_released(std::string_view text);

using LengthBytes = std::array<unsigned char, 4>;

LengthBytes encode_length(size_t length);
// Refuses 0 and what is longer than `limit`.
Result<size_t> decode_length(const LengthBytes& bytes, size_t limit);

}  // namespace lb::handoff
