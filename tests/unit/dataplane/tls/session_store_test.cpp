// Sessions that are kept to be taken up again: of whom, how many, and for how long.
#include "dataplane/tls/session_store.hpp"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "common/net/certificates.hpp"
#include "common/net/openssl_types.hpp"

namespace lb::tls {
namespace {

constexpr int64_t kMade = 1'800'000'000;

Endpoint peer_at(uint16_t port) { return {*IpAddress::parse("192.0.2.1"), port}; }

// As it is after a handshake, as far as the store looks at it.
SessionStore::Session session(int version = TLS1_3_VERSION, int64_t made = kMade,
                              long life = 7200) {
  SessionStore::Session out(SSL_SESSION_new());
  const unsigned char id[] = "an identity";
  SSL_SESSION_set1_id(out.get(), id, sizeof id);
  SSL_SESSION_set_protocol_version(out.get(), version);
  SSL_SESSION_set_time(out.get(), made);
  SSL_SESSION_set_timeout(out.get(), life);
  return out;
}

TEST(SessionStore, GivesTheNewestOfTheVeryPeerAndEachOnce) {
  SessionStore store;
  auto first = session(), second = session();
  const auto* newest = second.get();
  store.put(peer_at(1), std::move(first));
  store.put(peer_at(1), std::move(second));
  EXPECT_EQ(store.take(peer_at(2), kMade), nullptr);
  EXPECT_EQ(store.take(peer_at(1), kMade).get(), newest);
  EXPECT_NE(store.take(peer_at(1), kMade), nullptr);
  EXPECT_EQ(store.take(peer_at(1), kMade), nullptr);
  EXPECT_EQ(store.peers(), 0u);
}

// RFC 5246 asks for none of that, and a new one need not come.
TEST(SessionStore, OneOfTls12IsUsedAgainAndAgain) {
  SessionStore store;
  store.put(peer_at(1), session(TLS1_2_VERSION));
  EXPECT_NE(store.take(peer_at(1), kMade), nullptr);
  EXPECT_NE(store.take(peer_at(1), kMade), nullptr);
}

TEST(SessionStore, ForgetsThoseThatAreTooOld) {
  SessionStore store;
  store.put(peer_at(1), session());
  EXPECT_EQ(store.take(peer_at(1), kMade + SessionStore::kLifeSeconds), nullptr);
  store.put(peer_at(1), session(TLS1_3_VERSION, kMade, 10));
  EXPECT_EQ(store.take(peer_at(1), kMade + 10), nullptr) << "as the server has it";
  store.put(peer_at(1), session());
  EXPECT_EQ(store.take(peer_at(1), kMade - 1), nullptr) << "the day's time has gone back";
}

TEST(SessionStore, IsBounded) {
  SessionStore store;
  for (size_t i = 0; i < 2 * SessionStore::kMostEach; ++i) store.put(peer_at(1), session());
  size_t kept = 0;
  while (store.take(peer_at(1), kMade)) ++kept;
  EXPECT_EQ(kept, SessionStore::kMostEach);
  for (size_t i = 0; i < SessionStore::kMostPeers + 10; ++i) {
    store.put(peer_at(uint16_t(i)), session());
  }
  EXPECT_EQ(store.peers(), SessionStore::kMostPeers);
}

}  // namespace
}  // namespace lb::tls
