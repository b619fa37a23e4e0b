// What `validate` says of files that name certificates.
#include <gmock/gmock.h>

#include <ctime>
#include <fstream>
#include <sstream>

#include "common/net/certificates.hpp"
#include "controller/validate.hpp"
#include "tests/support/temporary_folder.hpp"

namespace lb::controller {
namespace {

using testing::HasSubstr;
using testing::Not;

class ValidateCertificatesTest : public testing::Test {
 protected:
  ValidateCertificatesTest() {
    const int64_t now = std::time(nullptr);
    const auto authority = net::make_authority("tests", {now - 1000, now + 86'400 * 40}).value();
    const auto web = net::issue(authority, "web.test", net::CertificateUse::kServer,
                                {now - 1000, now + 86'400 * 20 + 1000})
                         .value();
    write("web.pem", web.certificate + web.key);
    write("two.crt", web.certificate);
    write("two.key", web.key);
    write("ca.pem", authority.certificate);
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder.path() + "/" + name) << text;
  }
  void configure(const std::string& tls) const {
    write("lb.yaml", "services:\n- name: web\n  listen: 127.0.0.1:8443\n  tls: " + tls +
                         "\n  backends: 127.0.0.1:4000\n");
  }
  void validate(bool show = false) {
    std::ostringstream said, complained;
    Validate wish;
    wish.files = {folder.path() + "/lb.yaml"};
    wish.show = show;
    code = validate_files(wish, said, complained);
    out = said.str();
    problems = complained.str();
  }

  test::TemporaryFolder folder;
  std::string out, problems;
  int code = 0;
};

TEST_F(ValidateCertificatesTest, PrintsNamesAndDaysLeft) {
  configure("{certificates: web.pem, client_authorities: ca.pem}");
  validate();
  const std::string& here = folder.path();
  EXPECT_THAT(out, HasSubstr("certificate " + here + "/web.pem: web.test; 20 days left\n"));
  EXPECT_THAT(out, HasSubstr("authority " + here + "/ca.pem: tests; "));
}

TEST_F(ValidateCertificatesTest, TellsEveryOneThatCannotBeUsed) {
  write("empty.pem", "");
  configure("{certificates: [absent.pem, empty.pem, web.pem]}");
  validate();
  EXPECT_EQ(code, 1);
  EXPECT_THAT(problems, HasSubstr(folder.path() + "/absent.pem: No such file"));
  EXPECT_THAT(problems, HasSubstr("at line 4, column 24 (/services/0/ports/0/tls/certificates/0)"));
  EXPECT_THAT(problems, HasSubstr(folder.path() + "/empty.pem: "));
  EXPECT_THAT(out, HasSubstr("web.test")) << "and the good one";
}

TEST_F(ValidateCertificatesTest, ShowsAFileThatSaysTheSame) {
  configure(
      "{certificates: [web.pem, {certificate: two.crt, key: two.key}], default_certificate: "
      "web.pem, client_authorities: ca.pem, backend: {server_name: x.test, authorities: ca.pem}}");
  validate(/*show=*/true);
  EXPECT_THAT(out, Not(HasSubstr("days left")));
  EXPECT_THAT(out, Not(HasSubstr("\"file/tmp"))) << "names are for the wire";
  const std::string shown = out;
  write("lb.yaml", shown);
  validate(/*show=*/true);
  EXPECT_EQ(out, shown);
}

}  // namespace
}  // namespace lb::controller
