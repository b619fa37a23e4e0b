// What stands on a Service whose certificate is missing on the data planes.
#include <gmock/gmock.h>

#include "controller/core/service_status.hpp"
#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {
namespace {

class CertificateStatusTest : public testing::Test {
 protected:
  CertificateStatusTest() : source(service("web").port(443).source()) {}
  // As each data plane says it.
  void missing(uint16_t port) {
    Failure out;
    out.key = source.key;
    out.address = ip("192.0.2.10");
    out.port = port;
    out.reason = "CertificateMissing";
    out.message = "not here yet";
    failures.push_back(std::move(out));
  }
  std::string condition(const std::string& type) {
    const auto wish = served_status({source, {ip("192.0.2.10")}, problems, failures, HealthView{}});
    for (const auto& each : wish.conditions) {
      if (each.type == type) return each.status + " " + each.reason;
    }
    return "none";
  }

  SourceService source;
  std::vector<Problem> problems;
  std::vector<Failure> failures;
};

TEST_F(CertificateStatusTest, SaysWhyItIsMissingWhereThatIsKnown) {
  problems = {{"SecretForbidden", "certificate kubernetes/default/web-tls: may not be read"}};
  missing(443);
  EXPECT_EQ(condition(kDegraded), "True SecretForbidden");
}

TEST_F(CertificateStatusTest, SaysThatItIsMissingWhereNothingElseIsKnown) {
  missing(443);
  EXPECT_EQ(condition(kDegraded), "True CertificateMissing");
}

TEST_F(CertificateStatusTest, AnotherFailureComesFirstAllTheSame) {
  problems = {{"SecretForbidden", "certificate kubernetes/default/web-tls: may not be read"}};
  missing(443);
  missing(80);
  failures.back().reason = "AddressInUse";
  EXPECT_EQ(condition(kDegraded), "True AddressInUse");
}

TEST_F(CertificateStatusTest, AsManyDataPlanesAsSayItItIsOnePort) {
  missing(443);
  missing(443);
  EXPECT_EQ(condition(kProgrammed), "True Programmed") << "port 80 is served";
  missing(80);
  EXPECT_EQ(condition(kProgrammed), "False CertificateMissing");
}

}  // namespace
}  // namespace lb::plan
