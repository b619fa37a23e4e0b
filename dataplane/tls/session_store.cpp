#include "dataplane/tls/session_store.hpp"

#include <openssl/ssl.h>

#include <algorithm>
#include <new>
#include <utility>

#include "common/net/openssl_types.hpp"

namespace lb::tls {
namespace {

bool is_within(int64_t since_s, int64_t now_s, int64_t life_s) {
  return now_s >= since_s && now_s - since_s < life_s;
}

bool is_good(const SessionStore::Kept& kept, int64_t now_s) {
  const SSL_SESSION* session = kept.session.get();
  const X509* shown = SSL_SESSION_get0_peer(const_cast<SSL_SESSION*>(session));
  const bool expired =
      shown != nullptr && now_s >= net::openssl::seconds_of(X509_get0_notAfter(shown));
  return SSL_SESSION_is_resumable(session) == 1 && !expired &&
         is_within(SSL_SESSION_get_time(session), now_s, SSL_SESSION_get_timeout(session)) &&
         is_within(kept.begun_s, now_s, SessionStore::kLifeSeconds);
}

// Backends come and go: those of whom nothing is heard any more are most likely gone.
constexpr auto by_newest = [](const auto& a, const auto& b) {
  return SSL_SESSION_get_time(a.second.back().session.get()) <
         SSL_SESSION_get_time(b.second.back().session.get());
};

bool is_for_once(const SSL_SESSION* session) {
  return SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION;
}

}  // namespace

void SessionStore::Free::operator()(ssl_session_st* session) const { SSL_SESSION_free(session); }

void SessionStore::put(const Endpoint& peer, Kept session) noexcept try {
  const std::lock_guard lock(mutex_);
  if (!sessions_.contains(peer) && sessions_.size() >= kMostPeers) {
    sessions_.erase(std::min_element(sessions_.begin(), sessions_.end(), by_newest));
  }
  auto& kept = sessions_[peer];
  kept.push_back(std::move(session));
  if (kept.size() > kMostEach) kept.pop_front();
} catch (const std::bad_alloc&) {
}

SessionStore::Kept SessionStore::take(const Endpoint& peer, int64_t now_s) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(peer);
  if (found == sessions_.end()) return {};
  auto& kept = found->second;
  Kept out;
  while (!out.session && !kept.empty()) {
    Kept& newest = kept.back();
    if (!is_good(newest, now_s)) {
      kept.pop_back();
    } else if (is_for_once(newest.session.get())) {
      out = std::move(newest);
      kept.pop_back();
    } else {
      SSL_SESSION_up_ref(newest.session.get());
      out = {Session(newest.session.get()), newest.begun_s};
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
