// Where TLS ends by annotation, with which Secrets, and what keeps a Service from being served.
#include "controller/core/tls_annotations.hpp"

#include <gmock/gmock.h>

#include "controller/core/annotations.hpp"
#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kSecrets[] = "empalme.io/tls.secrets";

const TlsPolicy& tls_of(const SourceService& source, size_t port = 0) {
  return source.ports.at(port).tls;
}

// The only problem, which blocks.
std::string refusal(const ServiceBuilder& builder) {
  const auto out = builder.source();
  if (out.problems.size() != 1) return std::to_string(out.problems.size()) + " problems";
  EXPECT_EQ(out.problems[0].reason, "InvalidAnnotation");
  EXPECT_TRUE(out.problems[0].blocks) << "it would be served in plain";
  return out.problems[0].message;
}

TEST(TlsAnnotations, EndTlsWithTheSecretsOfTheNamespace) {
  const auto out = service("web").annotated(kSecrets, "web-tls, shop-tls").source();
  EXPECT_THAT(out.problems, IsEmpty());
  EXPECT_EQ(tls_of(out).mode, TlsMode::kTerminate);
  EXPECT_THAT(tls_of(out).certificates,
              ElementsAre("kubernetes/default/web-tls", "kubernetes/default/shop-tls"));
}

TEST(TlsAnnotations, SetEveryField) {
  const auto out = service("web")
                       .annotated(kSecrets, "a,b")
                       .annotated("empalme.io/tls.default-secret", "b")
                       .annotated("empalme.io/tls.alpn", "h2, http/1.1")
                       .annotated("empalme.io/tls.client-authorities", "staff")
                       .annotated("empalme.io/tls.backend.server-name", "Web.Internal")
                       .annotated("empalme.io/tls.backend.authorities", "internal")
                       .source();
  EXPECT_THAT(out.problems, IsEmpty());
  EXPECT_EQ(tls_of(out).default_certificate, "kubernetes/default/b");
  EXPECT_THAT(tls_of(out).alpn, ElementsAre("h2", "http/1.1"));
  EXPECT_THAT(tls_of(out).client_authorities, ElementsAre("kubernetes/default/staff/ca.crt"));
  ASSERT_TRUE(tls_of(out).backend);
  EXPECT_EQ(tls_of(out).backend->server_name, "web.internal");
  EXPECT_THAT(tls_of(out).backend->authorities, ElementsAre("kubernetes/default/internal/ca.crt"));
  EXPECT_TRUE(tls_of(out).backend->verify);
}

TEST(TlsAnnotations, OfAPortAreForThatPortAlone) {
  const auto out =
      service("web").port(443).annotated("empalme.io/port.p443.tls.secrets", "web-tls").source();
  EXPECT_THAT(out.problems, IsEmpty());
  EXPECT_EQ(tls_of(out, 0), TlsPolicy{});
  EXPECT_EQ(tls_of(out, 1).mode, TlsMode::kTerminate);
}

TEST(TlsAnnotations, MayExemptAPort) {
  const auto out = service("web")
                       .port(443)
                       .annotated(kSecrets, "web-tls")
                       .annotated("empalme.io/tls.alpn", "h2")
                       .annotated("empalme.io/port.80.tls.secrets", "")
                       .source();
  EXPECT_THAT(out.problems, IsEmpty());
  EXPECT_EQ(tls_of(out, 0), TlsPolicy{});
  EXPECT_THAT(tls_of(out, 1).alpn, ElementsAre("h2"));
}

// An empty value is what is left where a variable is not set.
TEST(TlsAnnotations, ThatExemptFromNothingGotLost) {
  const char* kPort = "empalme.io/port.80.tls.secrets";
  EXPECT_THAT(refusal(service("web").annotated(kPort, "")), HasSubstr("is empty"));
  EXPECT_THAT(refusal(service("web")
                          .annotated(kSecrets, "web-tls")
                          .annotated("empalme.io/port.80.tls.client-authorities", "staff")
                          .annotated(kPort, "")),
              HasSubstr("more is asked"));
}

TEST(TlsAnnotations, ThatNameNobodyAreNotTakenForNobody) {
  for (const char* nobody : {",", " , , "}) {
    EXPECT_THAT(refusal(service("web").annotated(kSecrets, nobody)), HasSubstr("is empty"));
    for (const char* field : {"client-authorities", "backend.authorities", "alpn"}) {
      const std::string name = std::string("empalme.io/tls.") + field;
      EXPECT_THAT(refusal(service("web").annotated(kSecrets, "a").annotated(name, nobody)),
                  HasSubstr("is empty"))
          << field;
    }
  }
}

TEST(TlsAnnotations, ThatMissTheFieldBlockToo) {
  EXPECT_THAT(refusal(service("web").annotated("empalme.io/tls", "web-tls")),
              HasSubstr("unknown field"));
  EXPECT_THAT(refusal(service("web").annotated("empalme.io/port.80.tls", "web-tls")),
              HasSubstr("unknown field"));
}

TEST(TlsAnnotations, NameNoMoreThanFitsIntoAStateThatAllShare) {
  auto many = service("web");
  for (uint16_t port = 1000; port < 1300; ++port) many.port(port);
  EXPECT_THAT(refusal(ServiceBuilder(many).annotated(kSecrets, "a,b,c,d")), HasSubstr("1024"));
  for (uint16_t port = 1000; port < 1300; ++port) {
    many.annotated("empalme.io/port." + std::to_string(port) + ".tls.secrets", "a,b,c,d");
  }
  EXPECT_THAT(refusal(many), HasSubstr("1024"));
}

TEST(TlsAnnotations, PassDatagramsOver) {
  const auto both = service("dns").port(53, "UDP").annotated(kSecrets, "web-tls").source();
  EXPECT_THAT(both.problems, IsEmpty());
  EXPECT_EQ(tls_of(both, 1), TlsPolicy{});
  const auto named =
      service("dns").port(53, "UDP").annotated("empalme.io/port.p53.tls.secrets", "web-tls");
  EXPECT_THAT(refusal(named), HasSubstr("UDP"));
  const auto by_number =
      service("dns").port(53, "UDP").annotated("empalme.io/port.53.tls.secrets", "a");
  EXPECT_THAT(refusal(by_number), HasSubstr("no port 53"));
  auto datagrams = ServiceBuilder("dns").port(53, "UDP");
  EXPECT_THAT(refusal(datagrams.annotated(kSecrets, "a")), HasSubstr("no port of TCP"));
}

TEST(TlsAnnotations, ThatGotLostKeepTheServiceFromBeingServed) {
  EXPECT_THAT(refusal(service("web").annotated(kSecrets, " ")), HasSubstr("is empty"));
}

TEST(TlsAnnotations, NameNoSecretOfAnotherNamespace) {
  EXPECT_THAT(refusal(service("web").annotated(kSecrets, "kube-system/admin")),
              HasSubstr("'kube-system/admin' is no name of a Secret of this namespace"));
}

TEST(TlsAnnotations, WithoutCertificatesAskForNothingElse) {
  const auto out = service("web").annotated("empalme.io/tls.client-authorities", "staff");
  EXPECT_THAT(refusal(out), HasSubstr("tls.secrets is missing"));
  EXPECT_EQ(tls_of(out.source()), TlsPolicy{});
}

TEST(TlsAnnotations, ContradictThemselvesInNothing) {
  const auto base = service("web").annotated(kSecrets, "a");
  EXPECT_THAT(refusal(ServiceBuilder(base).annotated("empalme.io/tls.default-secret", "b")),
              HasSubstr("none of tls.secrets"));
  EXPECT_THAT(refusal(ServiceBuilder(base).annotated("empalme.io/tls.backend.authorities", "ca")),
              HasSubstr("server-name is missing"));
  EXPECT_THAT(refusal(service("web").annotated(kSecrets, "a, a")), HasSubstr("twice"));
}

TEST(TlsAnnotations, ThatAreUnknownOrUnreadableAreNamed) {
  const auto base = service("web").annotated(kSecrets, "a");
  for (const char* field : {"tls.ciphers", "tls.backend.ciphers", "tls."}) {
    EXPECT_THAT(
        refusal(ServiceBuilder(base).annotated(std::string(kAnnotationPrefix) + field, "x")),
        HasSubstr("unknown field"))
        << field;
  }
  EXPECT_THAT(refusal(ServiceBuilder(base).annotated("empalme.io/tls.backend.verify", "maybe")),
              HasSubstr("neither true nor false"));
  EXPECT_THAT(
      refusal(ServiceBuilder(base).annotated("empalme.io/tls.backend.server-name", "*.internal")),
      HasSubstr("several names"));
}

TEST(TlsAnnotations, WithoutVerificationNeedNoName) {
  const auto out = service("web")
                       .annotated(kSecrets, "a")
                       .annotated("empalme.io/tls.backend.verify", "false")
                       .source();
  EXPECT_THAT(out.problems, IsEmpty());
  EXPECT_FALSE(tls_of(out).backend->verify);
}

TEST(TlsAnnotations, NameNoMoreSecretsThanAreReadInTime) {
  std::string names;
  for (size_t i = 0; i <= kMaxSecrets; ++i) names += "s" + std::to_string(i) + ",";
  EXPECT_THAT(refusal(service("web").annotated(kSecrets, names)), HasSubstr("256"));
}

TEST(TlsAnnotations, TakeNoProtocolTwice) {
  const auto out =
      service("web").annotated(kSecrets, "a").annotated("empalme.io/tls.alpn", "h2,h2");
  EXPECT_THAT(refusal(out), HasSubstr("twice"));
}

}  // namespace
}  // namespace lb::plan
