// Certificates that are to be served: read whole, judged before they are used.
#include "common/net/server_certificate.hpp"

#include <gmock/gmock.h>

namespace lb::net {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr int64_t kNow = 1'800'000'000;
constexpr Validity kGood{kNow - 1000, kNow + 1000};

const SignedKey& authority() {
  static const SignedKey made = make_authority("tests", kGood).value();
  return made;
}

SignedKey leaf(const std::string& name, Validity validity = kGood) {
  return issue(authority(), name, CertificateUse::kServer, validity).value();
}

std::string refusal(const SignedKey& text) {
  const auto read = ServerCertificate::read(text, kNow);
  return read ? "none" : read.error().code;
}

TEST(ServerCertificate, TellsTheNamesThatItIsFor) {
  const auto read = ServerCertificate::read(leaf("*.Example.com"), kNow);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_THAT((*read)->names(), ElementsAre("*.example.com"));
  EXPECT_EQ((*read)->validity(), kGood);
  EXPECT_TRUE((*read)->has_key());
}

TEST(ServerCertificate, KeepsTheChainBehindItsOwn) {
  SignedKey text = leaf("a");
  text.certificate += authority().certificate;
  const auto read = ServerCertificate::read(text, kNow);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ((*read)->certificates().size(), 2u);
  EXPECT_THAT((*read)->names(), ElementsAre("a"));
}

TEST(ServerCertificate, HasAFingerprintOfItsCertificatesOnly) {
  const SignedKey one = leaf("a");
  const auto with_key = ServerCertificate::read(one, kNow);
  const auto without = ServerCertificate::read({one.certificate, ""}, kNow);
  const auto other = ServerCertificate::read(leaf("a"), kNow);
  EXPECT_THAT((*with_key)->fingerprint(), StartsWith("sha256:"));
  EXPECT_EQ((*with_key)->fingerprint().size(), 7u + 64u);
  EXPECT_EQ((*with_key)->fingerprint(), (*without)->fingerprint());
  EXPECT_NE((*with_key)->fingerprint(), (*other)->fingerprint());
}

TEST(ServerCertificate, WithoutAKeyIsThatOfAuthorities) {
  const auto read = ServerCertificate::read({authority().certificate, ""}, kNow);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_FALSE((*read)->has_key());
  EXPECT_THAT((*read)->names(), ElementsAre("tests"));
}

TEST(ServerCertificate, RefusesWhatIsNoCertificate) {
  const std::string key = leaf("a").key;
  EXPECT_EQ(refusal({"", key}), "CertificateUnreadable");
  EXPECT_EQ(refusal({"hello", key}), "CertificateUnreadable");
  EXPECT_EQ(refusal({key, key}), "CertificateUnreadable");
}

TEST(ServerCertificate, RefusesAChainThatBreaksOff) {
  const SignedKey whole = leaf("a");
  const std::string half = authority().certificate.substr(0, 200);
  EXPECT_EQ(refusal({whole.certificate + half, whole.key}), "CertificateUnreadable");
}

TEST(ServerCertificate, RefusesWhatIsNoKeyAndTellsNothingOfIt) {
  const SignedKey whole = leaf("a");
  const std::string half = whole.key.substr(0, whole.key.size() / 2);
  const auto read = ServerCertificate::read({whole.certificate, half}, kNow);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, "KeyUnreadable");
  EXPECT_THAT(read.error().message, Not(HasSubstr(half.substr(30, 40))));
}

TEST(ServerCertificate, RefusesTheKeyOfAnotherOne) {
  EXPECT_EQ(refusal({leaf("a").certificate, leaf("a").key}), "KeyDoesNotFit");
}

TEST(ServerCertificate, RefusesOneWhoseTimeIsOverAndSaysSince) {
  const SignedKey old = leaf("a", {kNow - 2000, kNow - 1});
  const auto read = ServerCertificate::read(old, kNow);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, "CertificateExpired");
  EXPECT_THAT(read.error().message, HasSubstr("since 2027-01-15T07:59:59Z"));
}

TEST(ServerCertificate, RefusesOneWhoseTimeHasNotCome) {
  EXPECT_EQ(refusal(leaf("a", {kNow + 1, kNow + 2})), "CertificateNotYetValid");
}

// RSA of 1,024 bits, whose certificate OpenSSL reads but does not serve.
constexpr char kWeakCertificate[] = R"(-----BEGIN CERTIFICATE-----
MIIB/DCCAWWgAwIBAgIUPiBhwfL2j8fS3cWaxMDGTRXrMHUwDQYJKoZIhvcNAQEL
BQAwDzENMAsGA1UEAwwEd2VhazAgFw0yNjExMjIxNDU3MzlaGA8yMTI2MTAyOTE0
NTczOVowDzENMAsGA1UEAwwEd2VhazCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkC
gYEA0W+hF+PwraVG2BqeWEBLNPCQRAyOopZB2iUYv1BBZT4bGtJGDmmnSKRRtR55
rJp5KG6Um9eoaaPz4vH7oy1MzorfPbUnyZCubT9SZVR0qdsXkyiE/M2kZSos9WS5
zzKSAdflaDKYpKVkYcEAHUJ5A2lBYNgoUcCwVOA/zpoP5ecCAwEAAaNTMFEwHQYD
VR0OBBYEFJ0NIv2ChODOo7n8DvTrKxJU4FXJMB8GA1UdIwQYMBaAFJ0NIv2ChODO
o7n8DvTrKxJU4FXJMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQELBQADgYEA
U8dMCY3CO82sq+YkSzw9CJg5jTGHY76/r++6aaLOm+piKeUHVOeRpnXHq3anUmx4
K2xuEH03vgTeC0i5iLpDKGxwUG5hlB2cWk7zeqKxnBkJuy/XXxcDC6S8cbOZ+cur
SG0zE47vsFjtVSDEFyDzauyJhYSyRhTQeKdShxm4lYg=
-----END CERTIFICATE-----
)";
constexpr char kWeakKey[] = R"(-----BEGIN PRIVATE KEY-----
MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBANFvoRfj8K2lRtga
nlhASzTwkEQMjqKWQdolGL9QQWU+GxrSRg5pp0ikUbUeeayaeShulJvXqGmj8+Lx
+6MtTM6K3z21J8mQrm0/UmVUdKnbF5MohPzNpGUqLPVkuc8ykgHX5WgymKSlZGHB
AB1CeQNpQWDYKFHAsFTgP86aD+XnAgMBAAECgYAwSkPjpUwOTciK9YBDKvfsSfeJ
qTeOJ4UhjmIpYpDhjjNjuM4sbpICvtiUIWW+tZNwDic3077iNMp8Ln1t/3jwz2gp
jagu37ukjiHLFB+8ri/5PeEjWn8Q4774MD3tcvnU4TjCxglWv//vtKBg12FI2NKe
r1G7hi015hlU6WBMYQJBAP+zzWW+zbGkeUASK3nWdkiwvopcPg0uJcECDze4z76v
B0SFsolcyrHyg81e6evYi/Ghuf8O/C88kXnMozHugFcCQQDRrgo1QdcpLqShgj4f
5OJFmH7DBFnsYjMZAPQdanrJeCY/2/23QmCckzq6ykrOYfu56DPnAC3XpP5RGZVy
gwzxAkEAy6aEXBiO8oCwIRtXjP4FzvcVilTVBuJOJ15giFyk+JWmECj7fPNubDNe
Td7eJ3ycWKIZ5M4mg+iVZJBbGZV+mQJAQbtepd1zFwzxPVR4J0V4jbrFmltF2W3b
eO4smQAlZ/1LeF99xTKA2PTqx13dX5+l61zY0ITk2iJ2O3RavmBI8QJBANkaWMR/
i3/kcpEH7U8k1r/U7z9lnPzzgyr+eByLx5iiMEWfSHO7ugGhmqnXicNOIjCM6sAb
5WheV4ZMBcq5vzs=
-----END PRIVATE KEY-----
)";

TEST(ServerCertificate, RefusesAKeyThatIsTooShort) {
  EXPECT_EQ(refusal({kWeakCertificate, kWeakKey}), "CertificateTooWeak");
}

}  // namespace
}  // namespace lb::net
