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
  // Sessions follow from sessions, without anything being verified anew: the whole handshake that
  // they go back to was at `begun_s` since 1970.
  struct Kept {
    Session session;  // null: none
    int64_t begun_s = 0;
  };

  // Of too many peers the one goes whose newest session is the oldest.
  void put(const Endpoint& peer, Kept session) noexcept;
  // The newest that is good still: it goes back to no more than kLifeSeconds, and its certificate
  // has not expired. One of TLS 1.3 is used once (RFC 8446, appendix C.4). `now_s` since 1970.
  Kept take(const Endpoint& peer, int64_t now_s);

  size_t peers() const;

 private:
  mutable std::mutex mutex_;
  std::map<Endpoint, std::deque<Kept>> sessions_;  // the newest last
};

}  // namespace lb::tls
