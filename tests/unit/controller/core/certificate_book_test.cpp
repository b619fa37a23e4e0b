// Which certificates there are, which are asked for, and what a service says of them.
#include "controller/core/certificate_book.hpp"

#include <gmock/gmock.h>

#include "controller/core/certificate_problems.hpp"

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

CertificatePtr certificate(const std::string& chain, const std::string& key = "k") {
  return std::make_shared<const Certificate>(chain, key, "sha256:" + chain);
}

Service naming(std::vector<std::string> names) {
  Service out;
  out.ports.resize(1);
  out.ports[0].tls.mode = TlsMode::kTerminate;
  out.ports[0].tls.certificates = std::move(names);
  return out;
}

TEST(CertificateBook, FindsWhatTheSourceOfItsPrefixGave) {
  CertificateBook book;
  book.give("file/", {{"file/a", certificate("A")}});
  book.give("kubernetes/", {{"kubernetes/n/s", certificate("S")}});
  EXPECT_EQ(book.find("file/a")->chain(), "A");
  EXPECT_EQ(book.find("file/b"), nullptr);
  EXPECT_EQ(book.find("consul/a"), nullptr);
  book.give("file/", {});
  EXPECT_EQ(book.find("file/a"), nullptr);
  EXPECT_TRUE(book.find("kubernetes/n/s")) << "one source takes nothing from another";
}

TEST(CertificateBook, OursAreThoseOfSourcesThatHaveGiven) {
  CertificateBook book;
  EXPECT_FALSE(book.ours("file/a"));
  book.give("file/", {});
  EXPECT_TRUE(book.ours("file/a"));
  EXPECT_FALSE(book.ours("kubernetes/n/s"));
  EXPECT_FALSE(book.ours("file"));
}

TEST(CertificateBook, IsWantedAsLongAsAServiceNamesIt) {
  CertificateBook book;
  const Service one = naming({"file/a", "file/b"}), two = naming({"file/b"});
  book.want(nullptr, &one);
  book.want(nullptr, &two);
  book.want(&one, nullptr);
  EXPECT_FALSE(book.wants("file/a"));
  EXPECT_TRUE(book.wants("file/b"));
  book.want_nothing();
  EXPECT_THAT(book.wanted(), IsEmpty());
}

TEST(CertificateBook, ChangesItsRevisionWithWhatItSaysOnly) {
  CertificateBook book;
  book.give("file/", {{"file/a", certificate("A")}});
  const Service one = naming({"file/a"}), same = naming({"file/a"});
  book.want(nullptr, &one);
  const auto before = book.revision();
  book.want(&one, &same);
  book.give("file/", {{"file/a", certificate("A")}});
  EXPECT_EQ(book.revision(), before);
  book.give("file/", {{"file/a", certificate("A2")}});
  EXPECT_NE(book.revision(), before);
}

TEST(CertificateBook, EveryPlaceThatNamesOneCounts) {
  Service service = naming({"b", "a"});
  service.ports[0].tls.client_authorities = {"c"};
  service.ports[0].tls.backend = BackendTls{"x.test", {"d", "a"}};
  service.ports.emplace_back();
  EXPECT_THAT(certificates_of(service.ports), ElementsAre("a", "b", "c", "d"));
}

TEST(CertificateBook, WipesWhatMayHoldAKey) {
  std::string text(64, 'k');
  const char* where = text.data();
  wipe(text);
  EXPECT_TRUE(text.empty());
  EXPECT_EQ(std::string(where + 1, 63), std::string(63, '\0'));
}

TEST(CertificateProblems, AreThoseOfCertificatesThatTheServiceNames) {
  World world;
  world.certificate_troubles = {{"file/a", {"CertificateExpired", "since yesterday"}},
                                {"file/z", {"KeyDoesNotFit", "of another"}}};
  SourceService source;
  source.ports = naming({"file/a", "file/b"}).ports;
  source.problems = {{"Other", "before"}};
  const auto problems = problems_of(world, source);
  ASSERT_THAT(problems, SizeIs(2));
  EXPECT_EQ(problems[1],
            (Problem{"CertificateExpired", "certificate file/a: since yesterday"}));
}

TEST(CertificateProblems, TakeNoPortAway) {
  World world;
  world.certificate_troubles = {{"file/a", {"CertificateExpired", "since yesterday"}}};
  auto& source = world.services["file/web"];
  source.key = "file/web";
  source.addresses = {*IpAddress::parse("127.0.0.1")};
  source.ports = naming({"file/a"}).ports;
  Allocator allocator(std::vector<Pool>{});
  const auto plan = plan_service(world, allocator, "file/web");
  ASSERT_TRUE(plan.desired);
  EXPECT_EQ(plan.desired->ports, source.ports) << "tls travels as the source said it";
  EXPECT_THAT(plan.problems, SizeIs(1));
}

}  // namespace
}  // namespace lb::plan
