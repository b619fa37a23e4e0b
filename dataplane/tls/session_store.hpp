// Sessions with backends that may be taken up again, so that the next handshake costs no key's work
// and no certificates (RFC 8446, section 2.2; RFC 5077).
//
// Bounded, in memory only; what was agreed on under other terms must not come here. Any thread. Of
// want of memory what was to be kept is forgotten, nothing is thrown.
#pragma once

#include <openssl/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>

#include "common/model/address.hpp"

struct ssl_session_st;

namespace lb::tls {

class SessionStore {
 public:
  static constexpr size_t kMostPeers = 256;
  static constexpr size_t kMostEach = 4;
  static constexpr int64_t kLifeSeconds = 3600;

  struct Free {
    void operator()(ssl_session_st* session) const;
  };
  using Session = std::unique_ptr<ssl_session_st, Free>;

  void put(const Endpoint& peer, Session session) noexcept;
  // The newest that is good still: not too old, and its certificate has not expired. One of TLS 1.3
  // is used once (RFC 8446, appendix C.4). Null: none. `now_s` since 1970.
  Session take(const Endpoint& peer, int64_t now_s);

  size_t peers() const;

 private:
  mutable std::mutex mutex_;
  std::map<Endpoint, std::deque<Session>> sessions_;  // the newest last
};

}  // namespace lb::tls
