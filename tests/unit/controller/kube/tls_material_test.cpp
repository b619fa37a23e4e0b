#include "controller/kube/tls_material.hpp"

#include <gmock/gmock.h>

#include "common/net/certificates.hpp"

namespace lb::kube {
namespace {

using testing::Contains;
using testing::Key;
using testing::Not;
using testing::UnorderedElementsAre;

constexpr int64_t kStart = 1'800'000'000;
constexpr int64_t kDay = 86'400;

// The two Secrets, and a clock; turn() is one round of a controller that leads.
class TlsMaterialTest : public testing::Test {
 protected:
  TlsMaterialTest() { turn(); }

  bool turn() {
    const auto before = std::pair(authorities, certificates);
    authorities = next_authorities(authorities, certificates, terms, now).value();
    certificates = next_certificates(certificates, authorities, terms, now).value();
    return before != std::pair(authorities, certificates);
  }
  bool server_is_of(const std::string& authority) {
    return net::fits({certificates["server.crt"], certificates["server.key"]}, authority,
                     net::kDataplaneName, net::CertificateUse::kServer);
  }
  bool trusts(const std::string& authority) {
    return certificates["ca.crt"].find(authority) != std::string::npos;
  }

  TlsTerms terms;
  int64_t now = kStart;
  SecretData authorities, certificates;
};

TEST_F(TlsMaterialTest, BeginsWithOneAuthorityAndTwoCertificates) {
  EXPECT_THAT(authorities, UnorderedElementsAre(Key("ca.crt"), Key("ca.key")));
  EXPECT_THAT(certificates,
              UnorderedElementsAre(Key("ca.crt"), Key("server.crt"), Key("server.key"),
                                   Key("client.crt"), Key("client.key")));
  EXPECT_TRUE(server_is_of(authorities["ca.crt"]));
}

TEST_F(TlsMaterialTest, TheAuthoritysKeyIsNotAmongWhatDataPlanesMount) {
  for (const auto& [key, text] : certificates) EXPECT_NE(text, authorities["ca.key"]) << key;
}

TEST_F(TlsMaterialTest, WhatDataPlanesMountGivesNoOrdersToOthers) {
  const SecretData mounted = for_dataplanes(certificates);
  EXPECT_THAT(mounted, UnorderedElementsAre(Key("ca.crt"), Key("server.crt"), Key("server.key")));
  for (const auto& [key, text] : mounted) EXPECT_NE(text, certificates["client.key"]) << key;
  EXPECT_THAT(for_controllers(certificates),
              UnorderedElementsAre(Key("ca.crt"), Key("client.crt"), Key("client.key")));
}

TEST_F(TlsMaterialTest, TheTwoSecretsTogetherAreWhatIsHandedOut) {
  EXPECT_EQ(handed_out(for_dataplanes(certificates), for_controllers(certificates)), certificates);
}

TEST_F(TlsMaterialTest, AControllersKeyThatDataPlanesCouldReadIsNotGoneOnWith) {
  const SecretData found = handed_out(certificates, {});
  EXPECT_THAT(found, Not(Contains(Key("client.key"))));
  const auto made = next_certificates(found, authorities, terms, now).value();
  EXPECT_NE(made.at("client.key"), certificates["client.key"]);
  EXPECT_EQ(made.at("server.key"), certificates["server.key"]);
}

TEST_F(TlsMaterialTest, NothingChangesUntilTwoThirdsOfALife) {
  now += 60 * kDay - 1;
  EXPECT_FALSE(turn());
}

TEST_F(TlsMaterialTest, CertificatesAreRenewedAtTwoThirdsOfTheirLifeByTheSameAuthority) {
  const auto before = certificates;
  const auto authority = authorities;
  now += 60 * kDay;
  EXPECT_TRUE(turn());
  EXPECT_NE(certificates["server.crt"], before.at("server.crt"));
  EXPECT_NE(certificates["client.key"], before.at("client.key"));
  EXPECT_EQ(certificates["ca.crt"], before.at("ca.crt"));
  EXPECT_EQ(authorities, authority);
  EXPECT_FALSE(turn());
}

TEST_F(TlsMaterialTest, WhatIsMissingOrBrokenIsMadeAnewAndTheRestStays) {
  const auto before = certificates;
  certificates["server.key"] = "banana";
  EXPECT_TRUE(turn());
  EXPECT_TRUE(server_is_of(authorities["ca.crt"]));
  EXPECT_EQ(certificates["client.crt"], before.at("client.crt"));
}

TEST_F(TlsMaterialTest, AnAuthorityIsTrustedBeforeItSigns) {
  const std::string old = authorities["ca.crt"];
  now += terms.authority_life * 2 / 3;
  turn();
  const std::string next = authorities["next.crt"];
  EXPECT_TRUE(trusts(old));
  EXPECT_TRUE(trusts(next));
  EXPECT_TRUE(server_is_of(old));
  now += terms.trust_wait - 1;
  EXPECT_FALSE(turn());
  now += 1;
  turn();
  EXPECT_EQ(authorities["ca.crt"], next);
  EXPECT_TRUE(server_is_of(next));
  EXPECT_TRUE(trusts(old));
}

TEST_F(TlsMaterialTest, AnAuthorityThatNobodyHasSeenDoesNotSign) {
  now += terms.authority_life * 2 / 3;
  turn();
  const auto held = authorities;
  now += 2 * terms.trust_wait;
  certificates["ca.crt"] = authorities["ca.crt"];
  turn();
  EXPECT_EQ(authorities["ca.crt"], held.at("ca.crt"));
  EXPECT_NE(authorities["next.crt"], held.at("next.crt")) << "its wait begins anew";
  EXPECT_TRUE(trusts(authorities["next.crt"]));
  EXPECT_FALSE(turn());
}

TEST_F(TlsMaterialTest, ASuccessorThatCannotBeReadIsMadeAnew) {
  now += terms.authority_life * 2 / 3;
  turn();
  authorities["next.crt"] = "banana";
  turn();
  EXPECT_NE(authorities["next.crt"], "banana");
  EXPECT_TRUE(trusts(authorities["next.crt"]));
}

TEST_F(TlsMaterialTest, TheOldAuthorityIsTrustedUntilNobodyShowsWhatItSigned) {
  const std::string old = authorities["ca.crt"];
  now += terms.authority_life * 2 / 3;
  turn();
  now += terms.trust_wait;
  turn();
  now += terms.trust_wait - 1;
  turn();
  EXPECT_TRUE(trusts(old));
  now += 1;
  turn();
  EXPECT_FALSE(trusts(old));
  EXPECT_THAT(authorities, Not(Contains(Key("previous.crt"))));
  EXPECT_FALSE(turn());
}

TEST_F(TlsMaterialTest, TheTextOfAControllerIsItsOwnCertificate) {
  const auto text = client_text(certificates);
  EXPECT_EQ(text.certificate, certificates["client.crt"]);
  EXPECT_EQ(text.key, certificates["client.key"]);
  EXPECT_EQ(text.authority, certificates["ca.crt"]);
  EXPECT_EQ(client_text({}), net::TlsText{});
}

}  // namespace
}  // namespace lb::kube
