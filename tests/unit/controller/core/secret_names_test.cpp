// How certificates in Secrets are called, and what is no such name.
#include "controller/core/secret_names.hpp"

#include <gmock/gmock.h>

#include "common/model/tls_policy.hpp"

namespace lb::plan {
namespace {

TEST(SecretNames, SayWhichEntryOfWhichSecretIsMeant) {
  EXPECT_EQ(certificate_name({"shop", "web-tls"}).value(), "kubernetes/shop/web-tls");
  EXPECT_EQ(certificate_name({"shop", "staff", true}).value(), "kubernetes/shop/staff/ca.crt");
}

TEST(SecretNames, LeadBackToTheSecret) {
  for (const SecretEntry& entry : {SecretEntry{"shop", "web.example"}, {"a", "b", true}}) {
    EXPECT_EQ(secret_entry(certificate_name(entry).value()), entry);
  }
}

TEST(SecretNames, OfAnotherSourceLeadNowhere) {
  for (const char* name : {"file/etc/tls/web.pem", "kubernetes", "kubernetes/shop",
                           "kubernetes/shop/web/tls.key", "kubernetes/shop/web/ca.crt/more", ""}) {
    EXPECT_EQ(secret_entry(name), std::nullopt) << name;
  }
}

TEST(SecretNames, LeadOutOfNoNamespace) {
  for (const char* secret : {"", "..", ".", "../kube-system/admin", "other/web", "Web", "a b", "-a",
                             "a-", "a?watch=1", "a%2fb"}) {
    const auto name = certificate_name({"shop", secret});
    ASSERT_FALSE(name) << secret;
    EXPECT_EQ(name.error().code, "InvalidName");
  }
}

TEST(SecretNames, ThatAreTooLongForACertificateAreRefused) {
  const std::string ns(63, 'n');
  const size_t room = kMaxCertificateName - std::string("kubernetes//").size() - ns.size();
  EXPECT_TRUE(certificate_name({ns, std::string(room, 's')}));
  EXPECT_FALSE(certificate_name({ns, std::string(room + 1, 's')}));
}

}  // namespace
}  // namespace lb::plan
