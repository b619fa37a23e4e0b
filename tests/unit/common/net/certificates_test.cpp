#include "common/net/certificates.hpp"

#include <gmock/gmock.h>

#include "common/net/tls.hpp"

namespace lb::net {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr int64_t kNow = 1'800'000'000;
constexpr int64_t kDay = 86'400;
constexpr Validity kYear{kNow, kNow + 365 * kDay};

class CertificatesTest : public testing::Test {
 protected:
  SignedKey server() {
    return issue(authority, "dataplane.empalme", CertificateUse::kServer, kYear).value();
  }

  SignedKey authority = make_authority("empalme", kYear).value();
};

TEST_F(CertificatesTest, WhatAnAuthorityIssuesFits) {
  EXPECT_TRUE(fits(server(), authority.certificate, "dataplane.empalme", CertificateUse::kServer));
}

TEST_F(CertificatesTest, AServersCertificateIsNoClients) {
  EXPECT_FALSE(fits(server(), authority.certificate, "dataplane.empalme", CertificateUse::kClient));
}

TEST_F(CertificatesTest, AnotherNameDoesNotFit) {
  EXPECT_FALSE(
      fits(server(), authority.certificate, "controller.empalme", CertificateUse::kServer));
}

TEST_F(CertificatesTest, AnotherAuthorityOfTheSameNameDoesNotFit) {
  const auto other = make_authority("empalme", kYear).value();
  EXPECT_FALSE(fits(server(), other.certificate, "dataplane.empalme", CertificateUse::kServer));
}

TEST_F(CertificatesTest, OneThatWasChangedAfterItWasSignedDoesNotFit) {
  SignedKey forged = server();
  size_t at = forged.certificate.find("\n-----END") - 12;  // of the signature
  while (forged.certificate[at] == '\n') --at;
  forged.certificate[at] = forged.certificate[at] == 'A' ? 'B' : 'A';
  ASSERT_TRUE(validity_of(forged.certificate).ok());
  EXPECT_FALSE(fits(forged, authority.certificate, "dataplane.empalme", CertificateUse::kServer));
}

TEST_F(CertificatesTest, AnotherKeyDoesNotFit) {
  SignedKey mixed = server();
  mixed.key = server().key;
  EXPECT_FALSE(fits(mixed, authority.certificate, "dataplane.empalme", CertificateUse::kServer));
}

TEST_F(CertificatesTest, WhatIsNoCertificateDoesNotFit) {
  EXPECT_FALSE(fits({}, authority.certificate, "dataplane.empalme", CertificateUse::kServer));
  EXPECT_FALSE(fits(server(), "banana", "dataplane.empalme", CertificateUse::kServer));
}

TEST_F(CertificatesTest, TheDatesAreThoseThatWereAsked) {
  EXPECT_EQ(validity_of(server().certificate).value(), kYear);
}

TEST_F(CertificatesTest, DatesBeyond2050AreKept) {
  const Validity far{kNow, kNow + 40 * 365 * kDay};
  EXPECT_EQ(validity_of(make_authority("empalme", far).value().certificate).value(), far);
}

TEST_F(CertificatesTest, WhatIsNoCertificateHasNoDates) {
  const auto none = validity_of("banana");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, "Certificate");
}

TEST_F(CertificatesTest, AnAuthorityThatCannotBeReadSignsNothingAndItsKeyIsNotSaid) {
  const auto none = issue({"banana", authority.key}, "x", CertificateUse::kServer, kYear);
  ASSERT_FALSE(none.ok());
  EXPECT_THAT(none.error().message, Not(HasSubstr("BEGIN")));
}

TEST_F(CertificatesTest, NoTwoAreEqual) { EXPECT_FALSE(server() == server()); }

TEST_F(CertificatesTest, AnIdentityTakesThem) {
  const auto made = server();
  const auto identity = TlsIdentity::unset(TlsRole::kServer, kControllerName);
  EXPECT_TRUE(identity->replace({made.certificate, made.key, authority.certificate}));
}

}  // namespace
}  // namespace lb::net
