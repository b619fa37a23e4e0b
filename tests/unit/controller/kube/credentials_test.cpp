// kubeconfig and service account: what is read, what is refused, and that no secret is said.
#include "controller/kube/credentials.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "controller/kube/http_client_cpprest.hpp"

namespace lb::kube {
namespace {

using testing::HasSubstr;
using testing::Not;

class CredentialsTest : public testing::Test {
 protected:
  CredentialsTest() { std::filesystem::create_directories(folder); }
  ~CredentialsTest() override { std::filesystem::remove_all(folder); }
  std::string write(const std::string& name, const std::string& text) {
    const std::string file = folder + "/" + name;
    std::ofstream(file) << text;
    return file;
  }
  std::string config(const std::string& cluster, const std::string& user,
                     const std::string& current = "here") {
    return write("config", "current-context: " + current +
                               "\ncontexts: [{name: here, context: {cluster: c, user: u}}]\n"
                               "clusters: [{name: c, cluster: {" +
                               cluster +
                               "}}]\n"
                               "users: [{name: u, user: {" +
                               user + "}}]\n");
  }
  std::string refusal(const std::string& file) {
    const auto access = kubeconfig_access(file);
    return access.ok() ? "" : access.error().message;
  }
  const std::string folder =
      (std::filesystem::temp_directory_path() / ("empalme-cred-" + std::to_string(getpid())))
          .string();
};

TEST_F(CredentialsTest, ReadsServerCaAndToken) {
  const auto access = kubeconfig_access(
      config("server: 'https://h:6443/', certificate-authority-data: Y2E=", "token: t"));
  ASSERT_TRUE(access.ok()) << access.error().message;
  EXPECT_EQ(access->server, "https://h:6443");
  EXPECT_EQ(access->ca.text, "ca");
  EXPECT_EQ(access->token.text, "t");
}

TEST_F(CredentialsTest, FilesAreRelativeToTheKubeconfig) {
  const auto access = kubeconfig_access(
      config("server: https://h", "client-certificate: c.pem, client-key: /abs/k.pem"));
  ASSERT_TRUE(access.ok());
  EXPECT_EQ(access->client_certificate.file, folder + "/c.pem");
  EXPECT_EQ(access->client_key.file, "/abs/k.pem");
}

TEST_F(CredentialsTest, SaysWhatIsMissing) {
  EXPECT_THAT(refusal(folder + "/absent"), HasSubstr("No such file"));
  EXPECT_THAT(refusal(write("empty", "")), HasSubstr("no kubeconfig"));
  EXPECT_THAT(refusal(write("bare", "a: b")), HasSubstr("no current-context"));
  EXPECT_THAT(refusal(config("server: https://h", "", "elsewhere")), HasSubstr("'elsewhere'"));
  EXPECT_THAT(refusal(config("server: ftp://h", "")), HasSubstr("no usable server"));
  EXPECT_THAT(refusal(config("server: https://h, certificate-authority-data: '***'", "")),
              HasSubstr("not base64"));
}

TEST_F(CredentialsTest, RefusesPluginsByName) {
  EXPECT_THAT(refusal(config("server: https://h", "exec: {command: aws}")), HasSubstr("plug-in"));
}

TEST_F(CredentialsTest, NeverRepeatsWhatItCouldNotRead) {
  const auto message = refusal(write("broken", "users:\n  - {token: sesame, [\n"));
  EXPECT_THAT(message, HasSubstr("line"));
  EXPECT_THAT(message, Not(HasSubstr("sesame")));
}

TEST_F(CredentialsTest, ReadsAServiceAccount) {
  write("token", "abc\n");
  write("ca.crt", "ca");
  auto access = in_cluster_access(folder, "10.96.0.1", "443");
  ASSERT_TRUE(access.ok());
  EXPECT_EQ(access->server, "https://10.96.0.1:443");
  Credentials credentials(std::move(access).value());
  EXPECT_EQ(credentials.token(), "abc");
  EXPECT_EQ(credentials.ca().value(), "ca");
}

TEST_F(CredentialsTest, ReadsARotatedTokenOnceTheOldOneIsRefused) {
  write("token", "old");
  write("ca.crt", "ca");
  Credentials credentials(in_cluster_access(folder, "h", "1").value());
  EXPECT_EQ(credentials.token(), "old");
  write("token", "new");
  EXPECT_EQ(credentials.token(), "old") << "not read at every request";
  credentials.refused();
  EXPECT_EQ(credentials.token(), "new");
  std::filesystem::remove(folder + "/token");
  credentials.refused();
  EXPECT_EQ(credentials.token(), "new") << "while it is being replaced";
}

TEST_F(CredentialsTest, AServiceAccountWithoutItsTokenIsAnError) {
  write("ca.crt", "ca");
  EXPECT_FALSE(in_cluster_access(folder, "h", "1").ok());
}

TEST_F(CredentialsTest, AnIpv6ServiceHostIsReachedByName) {
  write("token", "t");
  write("ca.crt", "ca");
  EXPECT_EQ(in_cluster_access(folder, "fd00::1", "443")->server,
            "https://kubernetes.default.svc:443");
}

TEST(CheckServer, RefusesWhatTheLibraryCannotReach) {
  EXPECT_TRUE(check_server("https://10.0.0.1:6443").ok());
  EXPECT_FALSE(check_server("https://[fd00::1]:6443").ok());
  EXPECT_FALSE(check_server("https://").ok());
}

}  // namespace
}  // namespace lb::kube
