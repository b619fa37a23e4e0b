// A file that people edit while it is served.
#include "controller/sources/file_source.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace lb::sources {
namespace {

using namespace std::chrono_literals;

class Sink : public SourceSink {
 public:
  void upsert(plan::SourceService service) override { services[service.key] = service; }
  void remove(const std::string& key) override { services.erase(key); }
  void synced(const std::string&, const std::set<std::string>& keys) override {
    std::erase_if(services, [&](const auto& each) { return !keys.contains(each.first); });
    ++syncs;
  }
  void nodes(std::set<IpAddress>) override {}
  void freshness(const std::string&, std::optional<Error> now) override { trouble = now; }

  std::map<std::string, plan::SourceService> services;
  std::optional<Error> trouble;
  int syncs = 0;
};

class FileSourceTest : public testing::Test {
 protected:
  FileSourceTest() { std::filesystem::create_directories(folder); }
  ~FileSourceTest() override { std::filesystem::remove_all(folder); }

  static std::string one(const std::string& name, const std::string& backend = "127.0.0.1:4000") {
    return "services:\n  - name: " + name + "\n    listen: 127.0.0.1:8080\n    backends: [\"" +
           backend + "\"]\n";
  }
  void write(const std::string& text, const std::string& name = "lb.yaml") {
    std::ofstream(folder + "/" + name) << text;
  }
  void start() {
    source = std::make_unique<FileSource>(
        io, FileSource::Options{.paths = paths, .resolve_interval = 50ms}, sink);
    source->start();
  }
  bool run_until(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (!holds() && std::chrono::steady_clock::now() < end) io.run_one_for(50ms);
    return holds();
  }
  bool serves(const std::string& key) {
    return run_until([&] { return sink.services.size() == 1 && sink.services.contains(key); });
  }

  const std::string folder =
      (std::filesystem::temp_directory_path() / ("empalme-file-" + std::to_string(getpid())))
          .string();
  std::vector<std::string> paths{folder + "/lb.yaml"};
  asio::io_context io;
  Sink sink;
  std::unique_ptr<FileSource> source;
};

TEST_F(FileSourceTest, ReadsTheFileAtStart) {
  write(one("web"));
  start();
  EXPECT_TRUE(sink.services.contains("file/web"));
  EXPECT_EQ(sink.syncs, 1);
}

TEST_F(FileSourceTest, FollowsAWriteInPlace) {
  write(one("web"));
  start();
  write(one("other"));
  EXPECT_TRUE(serves("file/other"));
}

TEST_F(FileSourceTest, FollowsARename) {
  write(one("web"));
  start();
  write(one("other"), "new");
  std::filesystem::rename(folder + "/new", folder + "/lb.yaml");
  EXPECT_TRUE(serves("file/other"));
}

TEST_F(FileSourceTest, FollowsASwappedLinkAsConfigMapsDo) {
  std::filesystem::create_directories(folder + "/v1");
  std::filesystem::create_directories(folder + "/v2");
  write(one("web"), "v1/lb.yaml");
  write(one("other"), "v2/lb.yaml");
  std::filesystem::create_directory_symlink("v1", folder + "/..data");
  std::filesystem::create_symlink("..data/lb.yaml", folder + "/lb.yaml");
  start();
  ASSERT_TRUE(serves("file/web"));
  std::filesystem::create_directory_symlink("v2", folder + "/..tmp");
  std::filesystem::rename(folder + "/..tmp", folder + "/..data");
  EXPECT_TRUE(serves("file/other"));
}

TEST_F(FileSourceTest, ABadEditKeepsTheLastGoodSetAndSaysWhere) {
  write(one("web"));
  start();
  write("services: [\n");
  ASSERT_TRUE(run_until([&] { return sink.trouble.has_value(); }));
  EXPECT_THAT(sink.trouble->message, testing::HasSubstr("line 2"));
  EXPECT_TRUE(sink.services.contains("file/web"));
  write(one("web"));
  EXPECT_TRUE(run_until([&] { return !sink.trouble; })) << "the same good text again is fresh";
  EXPECT_GE(source->errors(), 1u);
}

TEST_F(FileSourceTest, AFileThatIsMissingMayComeLater) {
  start();
  EXPECT_TRUE(sink.trouble);
  EXPECT_EQ(sink.syncs, 0) << "an absent file is not an empty one";
  write(one("web"));
  EXPECT_TRUE(serves("file/web"));
}

TEST_F(FileSourceTest, ResolvesBackendsByName) {
  write(one("web", "localhost:4000"));
  start();
  EXPECT_TRUE(run_until([&] { return !sink.services["file/web"].ports.at(0).backends.empty(); }));
  EXPECT_EQ(sink.services["file/web"].ports[0].backends[0].name, "localhost");
}

TEST_F(FileSourceTest, ANameThatCannotBeResolvedKeepsTheOthers) {
  write(
      "services:\n  - name: web\n    listen: 127.0.0.1:8080\n"
      "    backends: [\"127.0.0.1:4000\", \"no-such-host.invalid:80\"]\n");
  start();
  EXPECT_TRUE(run_until([&] { return source->resolve_failures() > 1; }));
  EXPECT_EQ(source->unresolved(), 1u);
  EXPECT_EQ(sink.services["file/web"].ports.at(0).backends.size(), 1u);
}

TEST_F(FileSourceTest, AFileThatIsEmptiedKeepsTheLastGoodSet) {
  write(one("web"));
  start();
  write("");
  ASSERT_TRUE(run_until([&] { return sink.trouble.has_value(); }));
  EXPECT_TRUE(sink.services.contains("file/web"));
}

TEST_F(FileSourceTest, BackendsByNameOutliveARestartWithoutANameServer) {
  write(one("web", "no-such-host.invalid:80"));
  start();
  ASSERT_TRUE(sink.services["file/web"].ports.at(0).backends.empty());
  Backend before;
  before.address = IpAddress::parse("10.0.0.7").value();
  before.port = 80;
  before.name = "no-such-host.invalid";
  Service held{"file/web", {}, {}, {}};
  held.ports.emplace_back().backends.push_back(before);
  source->held({{1, 1}, {held}});
  ASSERT_EQ(sink.services["file/web"].ports.at(0).backends.size(), 1u);
  EXPECT_EQ(sink.services["file/web"].ports[0].backends[0].address, before.address);
}

TEST_F(FileSourceTest, FollowsTheFileThatIsLaidOverTheFirst) {
  write(one("web"));
  write("services: [{name: web, policy: {drain_s: 5}}]", "production.yaml");
  paths.push_back(folder + "/production.yaml");
  start();
  EXPECT_EQ(sink.services["file/web"].policy.drain_s, 5u);
  write("services: [{name: web, policy: {drain_s: 7}}]", "production.yaml");
  EXPECT_TRUE(run_until([&] { return sink.services["file/web"].policy.drain_s == 7; }));
  write("services: [{name: web, policy: {drain_s: x}}]", "production.yaml");
  ASSERT_TRUE(run_until([&] { return sink.trouble.has_value(); }));
  EXPECT_THAT(sink.trouble->message, testing::HasSubstr("production.yaml: "));
  EXPECT_EQ(sink.services["file/web"].policy.drain_s, 7u) << "the last good set is kept";
}

TEST_F(FileSourceTest, AWrongFileIsFoundBeforeItIsFollowed) {
  write("services: [\n");
  EXPECT_FALSE(FileSource::check({folder + "/lb.yaml"}).ok());
  EXPECT_FALSE(FileSource::check({folder + "/absent.yaml"}).ok());
  write(one("web"));
  EXPECT_TRUE(FileSource::check({folder + "/lb.yaml"}).ok());
}

TEST(AddResolved, AddsEveryAddressOnce) {
  Service web;
  web.key = "file/web";
  web.ports.emplace_back().port = 80;
  std::vector<Service> services{web};
  const NamedBackend named{"file/web", 80, "h", 4000};
  const auto a = IpAddress::parse("10.0.0.1").value(), b = IpAddress::parse("10.0.0.2").value();
  add_resolved(services, {named, named}, {{"h", {b, a}}});
  ASSERT_EQ(services[0].ports[0].backends.size(), 2u);
  EXPECT_EQ(services[0].ports[0].backends[0].address, a);
}

}  // namespace
}  // namespace lb::sources
