// Sessions that are kept to be taken up again: of whom, how many, and for how long.
#include "dataplane/tls/session_store.hpp"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "common/net/certificates.hpp"
#include "common/net/openssl_types.hpp"
#include "tests/support/tls_stutterer.hpp"

namespace lb::tls {
namespace {

constexpr int64_t kMade = 1'800'000'000;

Endpoint peer_at(uint16_t port) { return {*IpAddress::parse("192.0.2.1"), port}; }

// As it is after a whole handshake, as far as the store looks at it.
SessionStore::Kept session(int version = TLS1_3_VERSION, int64_t made = kMade, long life = 7200) {
  SessionStore::Session out(SSL_SESSION_new());
  const unsigned char id[] = "an identity";
  SSL_SESSION_set1_id(out.get(), id, sizeof id);
  SSL_SESSION_set_protocol_version(out.get(), version);
  SSL_SESSION_set_time(out.get(), made);
  SSL_SESSION_set_timeout(out.get(), life);
  return {std::move(out), made};
}

// With a server that shows this, and nobody verifies.
SessionStore::Session agreed_with(const net::SignedKey& identity) {
  test::TlsStutterer server(identity);
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  &SSL_CTX_free);
  const std::unique_ptr<SSL, decltype(&SSL_free)> client(SSL_new(context.get()), &SSL_free);
  SSL_set_bio(client.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  bool both = false;
  for (int turn = 0; turn < 10 && !both; ++turn) {
    const bool done = SSL_connect(client.get()) == 1;
    std::string said(BIO_ctrl_pending(SSL_get_wbio(client.get())), '\0');
    BIO_read(SSL_get_wbio(client.get()), said.data(), static_cast<int>(said.size()));
    server.hear(said);
    both = server.shake_hands() && done;
    const std::string answer = server.take_said();
    BIO_write(SSL_get_rbio(client.get()), answer.data(), static_cast<int>(answer.size()));
  }
  EXPECT_TRUE(both);
  char nothing[1];
  SSL_read(client.get(), nothing, 1);  // the tickets
  SessionStore::Session out(SSL_get1_session(client.get()));
  SSL_SESSION_set_time(out.get(), kMade);
  SSL_shutdown(client.get());  // or it would be of ill repute
  return out;
}

TEST(SessionStore, GivesTheNewestOfTheVeryPeerAndEachOnce) {
  SessionStore store;
  auto first = session(), second = session();
  const auto* newest = second.session.get();
  store.put(peer_at(1), std::move(first));
  store.put(peer_at(1), std::move(second));
  EXPECT_EQ(store.take(peer_at(2), kMade).session, nullptr);
  EXPECT_EQ(store.take(peer_at(1), kMade).session.get(), newest);
  EXPECT_NE(store.take(peer_at(1), kMade).session, nullptr);
  EXPECT_EQ(store.take(peer_at(1), kMade).session, nullptr);
  EXPECT_EQ(store.peers(), 0u);
}

// RFC 5246 asks for none of that, and a new one need not come.
TEST(SessionStore, OneOfTls12IsUsedAgainAndAgain) {
  SessionStore store;
  store.put(peer_at(1), session(TLS1_2_VERSION));
  EXPECT_NE(store.take(peer_at(1), kMade).session, nullptr);
  EXPECT_NE(store.take(peer_at(1), kMade).session, nullptr);
}

TEST(SessionStore, ForgetsThoseThatAreTooOld) {
  SessionStore store;
  store.put(peer_at(1), session());
  EXPECT_EQ(store.take(peer_at(1), kMade + SessionStore::kLifeSeconds).session, nullptr);
  store.put(peer_at(1), session(TLS1_3_VERSION, kMade, 10));
  EXPECT_EQ(store.take(peer_at(1), kMade + 10).session, nullptr) << "as the server has it";
  store.put(peer_at(1), session());
  EXPECT_EQ(store.take(peer_at(1), kMade - 1).session, nullptr) << "the day's time has gone back";
}

// With it nobody would be verified again until the chain is too old.
TEST(SessionStore, ForgetsThoseWhoseCertificateHasExpired) {
  constexpr int64_t kExpires = kMade + 100;
  constexpr net::Validity kUntilThen{kMade - 100, kExpires};
  const auto authority = net::make_authority("tests", kUntilThen).value();
  const auto identity =
      net::issue(authority, "web.internal", net::CertificateUse::kServer, kUntilThen).value();
  SessionStore store;
  store.put(peer_at(1), {agreed_with(identity), kMade});
  store.put(peer_at(2), {agreed_with(identity), kMade});
  EXPECT_NE(store.take(peer_at(1), kExpires - 1).session, nullptr);
  EXPECT_EQ(store.take(peer_at(2), kExpires).session, nullptr);
}

// Each connection brings new ones, of its own time, and verifies nothing.
TEST(SessionStore, ForgetsThoseWhoseChainIsTooOld) {
  constexpr int64_t kLater = kMade + SessionStore::kLifeSeconds - 1;
  SessionStore store;
  auto kept = session(TLS1_3_VERSION, kLater);
  kept.begun_s = kMade;
  store.put(peer_at(1), std::move(kept));
  kept = store.take(peer_at(1), kLater);
  ASSERT_NE(kept.session, nullptr);
  EXPECT_EQ(kept.begun_s, kMade);
  store.put(peer_at(1), std::move(kept));
  EXPECT_EQ(store.take(peer_at(1), kLater + 1).session, nullptr);
}

TEST(SessionStore, OfTooManyPeersTheOneGoesThatWasNotHeardOfForLongest) {
  SessionStore store;
  for (size_t i = 0; i < SessionStore::kMostPeers; ++i) {
    store.put(peer_at(uint16_t(i)), session(TLS1_3_VERSION, kMade - (i == 7 ? 9 : 5)));
  }
  store.put(peer_at(7'000), session());
  EXPECT_EQ(store.take(peer_at(7), kMade).session, nullptr);
  EXPECT_NE(store.take(peer_at(0), kMade).session, nullptr);
  EXPECT_NE(store.take(peer_at(7'000), kMade).session, nullptr);
}

TEST(SessionStore, IsBounded) {
  SessionStore store;
  for (size_t i = 0; i < 2 * SessionStore::kMostEach; ++i) store.put(peer_at(1), session());
  size_t kept = 0;
  while (store.take(peer_at(1), kMade).session) ++kept;
  EXPECT_EQ(kept, SessionStore::kMostEach);
  for (size_t i = 0; i < SessionStore::kMostPeers + 10; ++i) {
    store.put(peer_at(uint16_t(i)), session());
  }
  EXPECT_EQ(store.peers(), SessionStore::kMostPeers);
}

}  // namespace
}  // namespace lb::tls
