// Certificates of a configuration file, rotated in every way while they are served.
#include "controller/sources/file_certificates.hpp"

#include <gmock/gmock.h>

#include <ctime>
#include <filesystem>
#include <fstream>

#include "common/net/certificates.hpp"
#include "controller/sources/file_source.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/unit/controller/sources/collector.hpp"

namespace lb::sources {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
namespace fs = std::filesystem;

net::SignedKey made(const std::string& name, int64_t days = 90) {
  const int64_t now = std::time(nullptr);
  static const auto authority =
      net::make_authority("tests", {now - 86'400 * 100, now + 86'400 * 100}).value();
  return net::issue(authority, name, net::CertificateUse::kServer,
                    {now - 86'400 * 50, now + days * 86'400})
      .value();
}

class FileCertificatesTest : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder.path() + "/" + name; }
  std::string name(const std::string& file = "web.pem") const {
    return "file" + folder.path() + "/" + file;
  }
  void write(const std::string& file, const std::string& text) const {
    std::ofstream(path(file)) << text;
  }
  void put(const std::string& file, const net::SignedKey& text) const {
    write(file, text.key + text.certificate);
  }
  void configure(const std::string& tls = "{certificates: web.pem}") const {
    write("lb.yaml", "services:\n- name: web\n  listen: 127.0.0.1:8443\n  tls: " + tls +
                         "\n  backends: 127.0.0.1:4000\n");
  }
  void start() {
    source = std::make_unique<FileSource>(
        io, FileSource::Options{.paths = {path("lb.yaml")}, .settle = settle}, sink);
    source->start();
  }
  bool until(const std::function<bool()>& holds, std::chrono::milliseconds most = 5s) {
    const auto end = std::chrono::steady_clock::now() + most;
    while (!holds() && std::chrono::steady_clock::now() < end) io.run_one_for(5ms);
    return holds();
  }
  std::string chain(const std::string& file = "web.pem") {
    const auto found = sink.news.all.find(name(file));
    return found == sink.news.all.end() || !found->second ? "" : found->second->chain();
  }
  // Without the services being told again.
  bool rotated_to(const net::SignedKey& text, const std::string& file = "web.pem") {
    const auto told = sink.syncs;
    return until([&] { return chain(file) == text.certificate; }) && sink.syncs == told;
  }

  test::TemporaryFolder folder;
  std::chrono::milliseconds settle{50};
  asio::io_context io;
  test_rig::Collector sink{"file/"};
  std::unique_ptr<FileSource> source;
};

TEST_F(FileCertificatesTest, AreToldBeforeTheServicesThatNameThem) {
  put("web.pem", made("web.test"));
  configure();
  start();
  const auto found = sink.news.all.find(name());
  ASSERT_NE(found, sink.news.all.end());
  EXPECT_THAT(found->second->fingerprint(), testing::StartsWith("sha256:"));
  EXPECT_THAT(found->second->chain(), Not(HasSubstr("KEY"))) << "a key is in no chain";
  EXPECT_THAT(found->second->key(), HasSubstr("PRIVATE KEY"));
  EXPECT_THAT(sink.services["file/web"].ports.at(0).tls.certificates, ElementsAre(name()));
}

TEST_F(FileCertificatesTest, OneWrittenInPlaceIsTold) {
  put("web.pem", made("web.test"));
  configure();
  start();
  const auto next = made("next.test");
  put("web.pem", next);
  EXPECT_TRUE(rotated_to(next));
}

TEST_F(FileCertificatesTest, OneRenamedOverIsTold) {
  put("web.pem", made("web.test"));
  configure();
  start();
  const auto next = made("next.test");
  put("new", next);
  fs::rename(path("new"), path("web.pem"));
  EXPECT_TRUE(rotated_to(next));
}

TEST_F(FileCertificatesTest, OneBehindASwappedLinkIsToldAsMountedSecretsAre) {
  fs::create_directories(path("tls/v1"));
  fs::create_directories(path("tls/v2"));
  const auto first = made("web.test"), next = made("next.test");
  for (const auto& [version, text] : {std::pair("v1", first), std::pair("v2", next)}) {
    write(std::string("tls/") + version + "/tls.crt", text.certificate);
    write(std::string("tls/") + version + "/tls.key", text.key);
  }
  fs::create_directory_symlink("v1", path("tls/..data"));
  fs::create_symlink("..data/tls.crt", path("tls/tls.crt"));
  fs::create_symlink("..data/tls.key", path("tls/tls.key"));
  configure("{certificates: [{certificate: tls/tls.crt, key: tls/tls.key}]}");
  start();
  EXPECT_EQ(chain("tls/tls.crt"), first.certificate);
  fs::create_directory_symlink("v2", path("tls/..tmp"));
  fs::rename(path("tls/..tmp"), path("tls/..data"));
  EXPECT_TRUE(rotated_to(next, "tls/tls.crt"));
  EXPECT_EQ(source->certificate_errors(), 0u);
}

TEST_F(FileCertificatesTest, OneBehindALinkFurtherUpIsTold) {
  for (const char* version : {"v1", "v2"}) fs::create_directories(path(version));
  const auto first = made("web.test"), next = made("next.test");
  put("v1/web.pem", first);
  put("v2/web.pem", next);
  fs::create_directory_symlink("v1", path("current"));
  configure("{certificates: current/web.pem}");
  start();
  fs::create_directory_symlink("v2", path("tmp"));
  fs::rename(path("tmp"), path("current"));
  EXPECT_TRUE(rotated_to(next, "current/web.pem"));
}

TEST_F(FileCertificatesTest, ABadRotationKeepsTheLastGoodOneAndSaysSo) {
  const auto first = made("web.test");
  put("web.pem", first);
  configure();
  start();
  write("web.pem", "not a certificate\n");
  ASSERT_TRUE(until([&] { return !sink.news.troubles.empty(); }));
  const Error& why = sink.news.troubles.at(name());
  EXPECT_EQ(why.code, "KeyUnreadable");
  EXPECT_THAT(why.message, HasSubstr(path("web.pem")));
  EXPECT_EQ(chain(), first.certificate);
  EXPECT_EQ(source->certificate_errors(), 1u);
  EXPECT_FALSE(sink.stale) << "the services are as fresh as ever";
  const auto next = made("next.test");
  put("web.pem", next);
  EXPECT_TRUE(rotated_to(next));
  EXPECT_THAT(sink.news.troubles, IsEmpty());
}

TEST_F(FileCertificatesTest, ACertificateAndItsKeyMayBeReplacedOneAfterTheOther) {
  const auto first = made("web.test"), next = made("next.test");
  write("web.crt", first.certificate);
  write("web.key", first.key);
  configure("{certificates: [{certificate: web.crt, key: web.key}]}");
  settle = 500ms;
  start();
  write("web.crt", next.certificate);
  ASSERT_TRUE(until([&] { return !source->certificates().troubles().empty(); }));
  write("web.key", next.key);
  ASSERT_TRUE(until([&] { return chain("web.crt") == next.certificate; }));
  until([] { return false; }, settle + 50ms);
  EXPECT_EQ(source->certificate_errors(), 0u) << "nobody was told of the moment in between";
}

TEST_F(FileCertificatesTest, AFileWithABadOneIsRefusedAtItsPlaceAndTheLastGoodSetStays) {
  struct Case {
    const char* file;
    const char* code;
  };
  const auto good = made("web.test");
  write("key-of-another.pem", good.certificate + made("x.test").key);
  write("no-key.pem", good.certificate);
  put("expired.pem", made("old.test", -1));
  put("web.pem", good);
  configure();
  start();
  for (const auto& [file, code] : {Case{"absent.pem", "Unreadable"},
                                   {"no-key.pem", "KeyUnreadable"},
                                   {"key-of-another.pem", "KeyDoesNotFit"},
                                   {"expired.pem", "CertificateExpired"}}) {
    sink.stale.reset();
    configure(std::string("{certificates: [web.pem, ") + file + "]}");
    ASSERT_TRUE(until([&] { return sink.stale.has_value(); })) << file;
    EXPECT_EQ(sink.stale->code, code);
    EXPECT_THAT(sink.stale->message, HasSubstr(path("lb.yaml") + ": " + path(file) + ": "));
    EXPECT_THAT(sink.stale->message, HasSubstr(" at line 4, column 33"));
    EXPECT_THAT(sink.services["file/web"].ports.at(0).tls.certificates, ElementsAre(name()));
  }
  put("expired.pem", made("young.test"));
  EXPECT_TRUE(until([&] { return !sink.stale; })) << "it is read again when it becomes good";
}

TEST_F(FileCertificatesTest, AnEditIsTakenThoughAnotherCertificateIsInTrouble) {
  const auto first = made("web.test");
  put("web.pem", first);
  put("shop.pem", made("shop.test"));
  configure();
  start();
  write("web.pem", "");
  ASSERT_TRUE(until([&] { return !sink.news.troubles.empty(); }));
  configure("{certificates: [web.pem, shop.pem]}");
  ASSERT_TRUE(until([&] { return sink.news.all.size() == 2; }));
  EXPECT_EQ(chain(), first.certificate);
  EXPECT_FALSE(sink.news.troubles.empty());
}

TEST_F(FileCertificatesTest, AuthoritiesHaveNoKey) {
  put("web.pem", made("web.test"));
  write("ca.pem", made("ca.test").certificate);
  configure("{certificates: web.pem, client_authorities: ca.pem}");
  start();
  ASSERT_TRUE(sink.news.all.contains(name("ca.pem")));
  EXPECT_EQ(sink.news.all.at(name("ca.pem"))->key(), "");
  EXPECT_TRUE(source->certificates().facts().at(name("ca.pem")).authority);
}

TEST_F(FileCertificatesTest, AFolderThatComesLaterIsNoticed) {
  configure("{certificates: later/tls/web.pem}");
  start();
  ASSERT_TRUE(sink.stale);
  fs::create_directories(path("later/tls"));
  until([] { return false; }, 20ms);
  put("later/tls/web.pem", made("web.test"));
  EXPECT_TRUE(until([&] { return sink.services.contains("file/web"); }));
}

TEST_F(FileCertificatesTest, ACheckAtStartReadsThemToo) {
  configure();
  const auto bad = FileSource::check({path("lb.yaml")});
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().pointer, "/services/0/ports/0/tls/certificates/0");
  put("web.pem", made("web.test"));
  EXPECT_TRUE(FileSource::check({path("lb.yaml")}).ok());
}

TEST_F(FileCertificatesTest, OneThatWasQuietForLongIsReadAgainWhenItChanges) {
  const auto first = made("web.test"), next = made("next.test");
  put("web.pem", first);
  FileCertificates certificates;
  CertificateFiles files;
  files.certificate = files.key = path("web.pem");
  const int64_t later = std::time(nullptr) + 3600;  // than any tick in which it was written
  ASSERT_TRUE(certificates.load({{"file/x", files}}, later).ok());
  EXPECT_FALSE(certificates.refresh(later));
  write("web.pem", next.key + next.certificate + "of another size, so that no tick matters\n");
  EXPECT_TRUE(certificates.refresh(later));
  EXPECT_EQ(certificates.all().at("file/x")->chain(), next.certificate);
  write("web.pem", "");
  EXPECT_TRUE(certificates.refresh(later));
  put("web.pem", next);
  EXPECT_TRUE(certificates.refresh(later)) << "good again";
  EXPECT_THAT(certificates.troubles(), IsEmpty());
}

TEST_F(FileCertificatesTest, TellsWhomOneIsForAndHowLong) {
  put("web.pem", made("web.test", 20));
  FileCertificates certificates;
  CertificateFiles files;
  files.certificate = files.key = path("web.pem");
  const int64_t now = std::time(nullptr);
  ASSERT_TRUE(certificates.load({{"file/x", files}}, now).ok());
  const auto facts = certificates.facts().at("file/x");
  EXPECT_THAT(facts.names, ElementsAre("web.test"));
  EXPECT_NEAR(static_cast<double>(facts.until - now), 20 * 86'400.0, 5.0);
  EXPECT_TRUE(certificates.refresh(now + 21 * 86'400)) << "what was good has expired";
  EXPECT_EQ(certificates.troubles().at("file/x").code, "CertificateExpired");
}

}  // namespace
}  // namespace lb::sources
