// Certificates by name, and when listeners get other terms because of them.
#include "dataplane/tls/certificate_book.hpp"

#include <gmock/gmock.h>

namespace lb::tls {
namespace {

using testing::ElementsAre;

constexpr int64_t kNow = 1'800'000'000;
constexpr net::Validity kGood{kNow - 1000, kNow + 1000};

net::SignedKey made(const std::string& name, net::Validity validity = kGood) {
  static const net::SignedKey authority = net::make_authority("tests", kGood).value();
  return net::issue(authority, name, net::CertificateUse::kServer, validity).value();
}

TlsPolicy ending(std::vector<std::string> certificates) {
  TlsPolicy out;
  out.mode = TlsMode::kTerminate;
  out.certificates = std::move(certificates);
  return out;
}

TEST(CertificateBook, GivesTheSameTermsWhereNothingHasChanged) {
  CertificateBook book;
  ASSERT_TRUE(book.put("a", made("a"), kNow).ok());
  const auto first = book.terms("x", ending({"a"}));
  ASSERT_TRUE(first.ok()) << first.error().message;
  ASSERT_TRUE(book.put("other", made("other"), kNow).ok());
  EXPECT_EQ(book.terms("x", ending({"a"})).value(), first.value());
}

TEST(CertificateBook, GivesOthersForAnotherCertificateOrPolicyOrPort) {
  CertificateBook book;
  ASSERT_TRUE(book.put("a", made("a"), kNow).ok());
  const auto first = book.terms("x", ending({"a"})).value();
  EXPECT_NE(book.terms("y", ending({"a"})).value(), first);
  TlsPolicy other = ending({"a"});
  other.alpn = {"h2"};
  const auto second = book.terms("x", other).value();
  EXPECT_NE(second, first);
  ASSERT_TRUE(book.put("a", made("a"), kNow).ok());
  EXPECT_NE(book.terms("x", other).value(), second);
}

TEST(CertificateBook, KeepsTheLastGoodOne) {
  CertificateBook book;
  ASSERT_TRUE(book.put("a", made("a"), kNow).ok());
  const auto before = book.all().at("a");
  const auto refused = book.put("a", made("a", {kNow - 2, kNow - 1}), kNow);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "CertificateExpired");
  EXPECT_EQ(book.all().at("a"), before);
  EXPECT_EQ(book.put("../a", made("a"), kNow).error().code, "InvalidName");
}

TEST(CertificateBook, ServesWithWhatIsThereAndNamesWhatIsNot) {
  CertificateBook book;
  EXPECT_EQ(book.terms("x", ending({"a", "b"})).error().code, "CertificateMissing");
  ASSERT_TRUE(book.put("b", made("b"), kNow).ok());
  const auto terms = book.terms("x", ending({"a", "b"}));
  ASSERT_TRUE(terms.ok());
  EXPECT_THAT((*terms)->missing(), ElementsAre("a"));
}

TEST(CertificateBook, DoesNotServeWithAnAuthorityThatHasNoKey) {
  CertificateBook book;
  ASSERT_TRUE(book.put("a", {made("a").certificate, ""}, kNow).ok());
  EXPECT_EQ(book.terms("x", ending({"a"})).error().code, "CertificateMissing");
}

TEST(CertificateBook, TellsOnceWhatHasChanged) {
  CertificateBook book;
  ASSERT_TRUE(book.put("a", made("a"), kNow).ok());
  ASSERT_TRUE(book.put("b", made("b"), kNow).ok());
  book.remove("b");
  book.remove("never");
  EXPECT_THAT(book.take_changed(), ElementsAre("a", "b"));
  EXPECT_TRUE(book.take_changed().empty());
}

TEST(CertificateBook, HoldsNoTermsThatNobodyUses) {
  CertificateBook book;
  ASSERT_TRUE(book.put("a", made("a"), kNow).ok());
  std::weak_ptr<const ServerTls> last;
  for (int i = 0; i < 100; ++i) {
    const auto terms = book.terms(std::to_string(i), ending({"a"}));
    last = terms.value();
  }
  EXPECT_TRUE(last.expired());
  EXPECT_LT(book.remembered(), 40u);
}

}  // namespace
}  // namespace lb::tls
