#include "dataplane/tls/session_store.hpp"

#include <openssl/ssl.h>

#include <algorithm>
#include <new>
#include <utility>

#include "common/net/openssl_types.hpp"

namespace lb::tls {
namespace {

bool is_good(const SSL_SESSION* session, int64_t now_s) {
  const int64_t age = now_s - SSL_SESSION_get_time(session);
  const int64_t life =
      std::min<int64_t>(SSL_SESSION_get_timeout(session), SessionStore::kLifeSeconds);
  const X509* shown = SSL_SESSION_get0_peer(const_cast<SSL_SESSION*>(session));
  const bool expired =
      shown != nullptr && now_s >= net::openssl::seconds_of(X509_get0_notAfter(shown));
  return SSL_SESSION_is_resumable(session) == 1 && age >= 0 && age < life && !expired;
}

bool is_for_once(const SSL_SESSION* session) {
  return SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION;
}

}  // namespace

void SessionStore::Free::operator()(ssl_session_st* session) const { SSL_SESSION_free(session); }

void SessionStore::put(const Endpoint& peer, Session session) noexcept try {
  const std::lock_guard lock(mutex_);
  if (!sessions_.contains(peer) && sessions_.size() >= kMostPeers) {
    sessions_.erase(sessions_.begin());
  }
  auto& kept = sessions_[peer];
  kept.push_back(std::move(session));
  if (kept.size() > kMostEach) kept.pop_front();
} catch (const std::bad_alloc&) {
}

SessionStore::Session SessionStore::take(const Endpoint& peer, int64_t now_s) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(peer);
  if (found == sessions_.end()) return nullptr;
  auto& kept = found->second;
  Session out;
  while (!out && !kept.empty()) {
    if (!is_good(kept.back().get(), now_s)) {
      kept.pop_back();
    } else if (is_for_once(kept.back().get())) {
      out = std::move(kept.back());
      kept.pop_back();
    } else {
      SSL_SESSION_up_ref(kept.back().get());
      out.reset(kept.back().get());
    }
  }
  if (kept.empty()) sessions_.erase(found);
  return out;
}

size_t SessionStore::peers() const {
  const std::lock_guard lock(mutex_);
  return sessions_.size();
}

}  // namespace lb::tls
