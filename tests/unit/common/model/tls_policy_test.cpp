// How TLS is asked for on a port, and what of that makes no sense.
#include "common/model/tls_policy.hpp"

#include <gmock/gmock.h>

#include "common/model/state_json.hpp"

namespace lb {
namespace {

using testing::ElementsAre;

Result<DesiredState> decoded(const std::string& tls) {
  return decode_state(R"({"schema":"empalme.io/v1","epoch":1,"generation":1,"services":[{"key":"k",
    "ports":[{"port":443,"tls":)" +
                      tls + "}]}]}");
}

TlsPolicy policy(const std::string& tls) {
  const auto state = decoded(tls);
  EXPECT_TRUE(state.ok()) << state.error().pointer << " " << state.error().message;
  return state.ok() ? state->services[0].ports[0].tls : TlsPolicy{};
}

// Of the field within `tls`.
std::string refused_at(const std::string& tls) {
  const auto state = decoded(tls);
  if (state.ok()) return "nothing";
  const std::string prefix = "/services/0/ports/0/tls";
  EXPECT_EQ(state.error().pointer.substr(0, prefix.size()), prefix);
  return state.error().pointer.substr(prefix.size());
}

TEST(TlsPolicy, KeepsOurOrderOfProtocolsAndSortsNames) {
  const TlsPolicy tls = policy(
      R"({"mode":"terminate","certificates":["b","a"],"alpn":["h2","http/1.1"],
          "client_authorities":["d","c"],"default_certificate":"b"})");
  EXPECT_THAT(tls.certificates, ElementsAre("a", "b"));
  EXPECT_THAT(tls.alpn, ElementsAre("h2", "http/1.1"));
  EXPECT_THAT(tls.client_authorities, ElementsAre("c", "d"));
  EXPECT_EQ(tls.default_certificate, "b");
  EXPECT_FALSE(tls.backend.has_value());
}

TEST(TlsPolicy, ComesBackFromWhatItIsWrittenAs) {
  const auto state = decoded(
      R"({"mode":"terminate","certificates":["a","b"],"alpn":["h2"],"client_authorities":["c"],
          "default_certificate":"a",
          "backend":{"server_name":"Web.Internal","authorities":["d"],"verify":false}})");
  ASSERT_TRUE(state.ok()) << state.error().pointer << state.error().message;
  const auto again = decode_state(encode_state(*state));
  ASSERT_TRUE(again.ok()) << again.error().pointer << again.error().message;
  EXPECT_EQ(*again, *state);
  EXPECT_EQ(again->services[0].ports[0].tls.backend->server_name, "web.internal");
}

TEST(TlsPolicy, NamesAllThatItNeeds) {
  const TlsPolicy tls = policy(
      R"({"mode":"terminate","certificates":["b","a"],"client_authorities":["c","a"],
          "backend":{"server_name":"x","authorities":["d"]}})");
  EXPECT_THAT(certificates_of(tls), ElementsAre("a", "b", "c", "d"));
}

TEST(TlsPolicy, WantsACertificateToEndTls) {
  EXPECT_EQ(refused_at(R"({"mode":"terminate"})"), "/certificates");
  EXPECT_EQ(refused_at(R"({"mode":"terminate","certificates":[]})"), "/certificates");
}

TEST(TlsPolicy, TakesNoDefaultThatIsNoneOfItsCertificates) {
  EXPECT_EQ(refused_at(R"({"mode":"terminate","certificates":["a"],"default_certificate":"b"})"),
            "/default_certificate");
}

TEST(TlsPolicy, TakesNothingTwice) {
  EXPECT_EQ(refused_at(R"({"mode":"terminate","certificates":["a","a"]})"), "/certificates/1");
  EXPECT_EQ(refused_at(R"({"mode":"terminate","certificates":["a"],"alpn":["h2","h2"]})"),
            "/alpn/1");
}

TEST(TlsPolicy, TakesNoProtocolWithoutAName) {
  EXPECT_EQ(refused_at(R"({"mode":"terminate","certificates":["a"],"alpn":[""]})"), "/alpn/0");
}

TEST(TlsPolicy, TakesWhatIsForTerminationOnlyThere) {
  EXPECT_EQ(refused_at(R"({"mode":"passthrough","alpn":["h2"]})"), "/mode");
  EXPECT_EQ(refused_at(R"({"mode":"passthrough","backend":{"server_name":"a"}})"), "/mode");
}

TEST(TlsPolicy, WantsANameToVerifyBackendsFor) {
  EXPECT_EQ(refused_at(R"({"mode":"terminate","certificates":["a"],"backend":{}})"),
            "/backend/server_name");
  EXPECT_EQ(
      refused_at(R"({"mode":"terminate","certificates":["a"],"backend":{"server_name":"*.a"}})"),
      "/backend/server_name");
  EXPECT_TRUE(
      decoded(R"({"mode":"terminate","certificates":["a"],"backend":{"verify":false}})").ok());
}

TEST(CertificateName, IsMadeOfPartsThatMayStandInPaths) {
  for (const char* name : {"a", "kubernetes/default/web-tls", "file/etc/tls/web.pem", "A_1"}) {
    EXPECT_TRUE(check_certificate_name(name).ok()) << name;
  }
}

TEST(CertificateName, NeverLeadsOutOfAFolder) {
  for (const std::string name :
       {"", "/a", "a/", "a//b", "..", "a/../b", ".", "a b", "a%2fb", "ä"}) {
    EXPECT_FALSE(check_certificate_name(name).ok()) << name;
  }
  EXPECT_FALSE(check_certificate_name(std::string(241, 'a')).ok());
}

TEST(CertificateName, IsRefusedWhereItStands) {
  EXPECT_EQ(refused_at(R"({"mode":"terminate","certificates":["a","../b"]})"), "/certificates/1");
}

}  // namespace
}  // namespace lb
