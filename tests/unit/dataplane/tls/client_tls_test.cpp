// What is spoken with backends: with which authorities, and when that is made anew.
#include "dataplane/tls/client_tls.hpp"

#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "dataplane/tls/certificate_book.hpp"

namespace lb::tls {
namespace {

constexpr int64_t kToday = 1'800'000'000;
constexpr net::Validity kValid{kToday - 1000, kToday + 1000};
const Endpoint kBackend{*IpAddress::parse("192.0.2.1"), 443};

net::SignedKey authority(const std::string& name) {
  return {net::make_authority(name, kValid).value().certificate, ""};
}

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using Opened = std::unique_ptr<SSL, FreeSsl>;

class ClientTlsTest : public testing::Test {
 protected:
  ClientTlsTest() { put("ca"); }
  void put(const std::string& name) { ASSERT_TRUE(book_.put(name, authority(name), kToday).ok()); }

  CertificateBook book_;
  BackendTls policy_{"web.internal", {"ca"}, true};
};

TEST_F(ClientTlsTest, IsTheSameWhereNothingHasChanged) {
  const auto first = book_.backend_terms("x", policy_);
  ASSERT_TRUE(first.ok()) << first.error().message;
  put("other");
  EXPECT_EQ(book_.backend_terms("x", policy_).value(), first.value());
}

TEST_F(ClientTlsTest, IsAnotherForAnotherAuthorityPolicyOrPort) {
  const auto first = book_.backend_terms("x", policy_).value();
  EXPECT_NE(book_.backend_terms("y", policy_).value(), first);
  put("ca");
  const auto second = book_.backend_terms("x", policy_).value();
  EXPECT_NE(second, first);
  policy_.server_name = "api.internal";
  EXPECT_NE(book_.backend_terms("x", policy_).value(), second);
}

TEST_F(ClientTlsTest, NeedsEachOfItsAuthorities) {
  policy_.authorities = {"ca", "later"};
  const auto missing = book_.backend_terms("x", policy_);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, "CertificateMissing");
  EXPECT_NE(missing.error().message.find("'later'"), std::string::npos);
  put("later");
  EXPECT_TRUE(book_.backend_terms("x", policy_).ok());
}

// Its sessions with clients, and their tickets, have nothing to do with it.
TEST_F(ClientTlsTest, IsNoReasonToMakeWhatClientsGetAnew) {
  const auto signer = net::make_authority("tests", kValid).value();
  const auto certificate = net::issue(signer, "a", net::CertificateUse::kServer, kValid).value();
  ASSERT_TRUE(book_.put("a", certificate, kToday).ok());
  TlsPolicy port;
  port.mode = TlsMode::kTerminate;
  port.certificates = {"a"};
  port.backend = policy_;
  const auto before = book_.terms("x", port).value();
  put("ca");
  EXPECT_EQ(book_.terms("x", port).value(), before);
}

TEST_F(ClientTlsTest, VerifiesTheNameAndAsksForIt) {
  const auto terms = book_.backend_terms("x", policy_).value();
  const Opened ssl(terms->open(kBackend, "").ssl);
  EXPECT_EQ(SSL_get_verify_mode(ssl.get()), SSL_VERIFY_PEER);
  EXPECT_STREQ(SSL_get_servername(ssl.get(), TLSEXT_NAMETYPE_host_name), "web.internal");
  EXPECT_EQ(X509_VERIFY_PARAM_get_hostflags(SSL_get0_param(ssl.get())),
            unsigned(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT));
}

TEST_F(ClientTlsTest, WithoutVerifyingItNeedsNeitherNameNorAuthority) {
  const auto terms = book_.backend_terms("x", BackendTls{"", {"never"}, false});
  ASSERT_TRUE(terms.ok()) << terms.error().message;
  const Opened ssl(terms.value()->open(kBackend, "h2").ssl);
  EXPECT_EQ(SSL_get_verify_mode(ssl.get()), SSL_VERIFY_NONE);
}

TEST_F(ClientTlsTest, IsNotHeldWhereNobodyUsesIt) {
  std::weak_ptr<const ClientTls> last;
  for (int i = 0; i < 100; ++i) {
    last = book_.backend_terms(std::to_string(i), policy_).value();
  }
  EXPECT_TRUE(last.expired());
  EXPECT_LT(book_.remembered(), 40u);
}

}  // namespace
}  // namespace lb::tls
