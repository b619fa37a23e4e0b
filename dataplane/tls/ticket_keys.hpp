// The keys that session tickets are sealed with (RFC 5077, section 4; RFC 8446, section 4.6.1).
//
// Made at random and never stored: a new one each hour, and the two before it still open tickets.
// Shared by all listeners and workers; any thread. What a ticket is good for is bound to its
// listener by OpenSSL's session id context, not by the key.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>

namespace lb::tls {

struct TicketKey {
  std::array<unsigned char, 16> name{};
  std::array<unsigned char, 32> cipher{};  // AES-256-CBC
  std::array<unsigned char, 32> mac{};     // HMAC-SHA-256
};

class TicketKeys {
 public:
  static constexpr int64_t kLifeSeconds = 3600;

  ~TicketKeys();

  struct Found {
    TicketKey key;
    bool newest = true;  // otherwise the client is to get a new ticket
  };

  // `now_s` of a clock that does not go back. None: no randomness is to be had.
  std::optional<TicketKey> newest(int64_t now_s);
  // None: unknown, or too old.
  std::optional<Found> find(const unsigned char* name, int64_t now_s);

 private:
  bool rotate(int64_t now_s);

  std::mutex mutex_;
  std::array<TicketKey, 3> keys_;  // the newest first
  size_t count_ = 0;
  int64_t made_ = 0;
};

}  // namespace lb::tls
