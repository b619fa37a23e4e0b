// Files laid over one another, and values of the environment in them.
#include <gmock/gmock.h>

#include "controller/sources/file_document.hpp"

namespace lb::sources {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr char kBase[] =
    "services:\n"
    "  - name: web\n"
    "    listen: 127.0.0.1:8080\n"
    "    backends: ['127.0.0.1:4000', '127.0.0.1:4001']\n"
    "    policy: {drain_s: 5, idle_timeout_s: 60}\n"
    "  - name: api\n"
    "    listen: 127.0.0.1:8081\n"
    "    backends: ['127.0.0.1:5000']\n";

std::optional<std::string> environment(const std::string& name) {
  if (name == "PORT") return "9090";
  if (name == "BACKENDS") return "127.0.0.1:4002, 127.0.0.1:4003";
  if (name == "STAFF") return "10.0.0.0/8,192.0.2.0/24";
  return std::nullopt;
}

Result<FileDocument> layered(const std::vector<std::string>& texts) {
  std::vector<FileLayer> layers;
  for (const auto& text : texts) {
    layers.push_back({"layer" + std::to_string(layers.size()) + ".yaml", text});
  }
  return parse_file_layers(layers, environment);
}

FileDocument read(const std::vector<std::string>& texts) {
  const auto document = layered(texts);
  EXPECT_TRUE(document.ok()) << document.error().message;
  return document.ok() ? *document : FileDocument{};
}

std::string refusal(const std::vector<std::string>& texts) {
  const auto document = layered(texts);
  EXPECT_FALSE(document.ok());
  return document.ok() ? "" : document.error().message;
}

const Service& service(const FileDocument& document, const std::string& key) {
  for (const auto& each : document.services) {
    if (each.key == key) return each;
  }
  ADD_FAILURE() << "no " << key;
  static const Service kNone;
  return kNone;
}

std::vector<std::string> backends(const Service& service) {
  std::vector<std::string> out;
  for (const auto& each : service.ports.at(0).backends) out.push_back(each.endpoint().to_string());
  return out;
}

TEST(FileLayers, ALayerChangesWhatItNamesAndNothingElse) {
  const auto both = read({kBase, "services:\n  - name: web\n    policy: {drain_s: 9}\n"});
  ASSERT_THAT(both.services, SizeIs(2));
  const Service& web = service(both, "file/web");
  EXPECT_EQ(web.policy.drain_s, 9u);
  EXPECT_EQ(web.policy.idle_timeout_s, 60u);
  EXPECT_THAT(backends(web), ElementsAre("127.0.0.1:4000", "127.0.0.1:4001"));
  EXPECT_EQ(service(both, "file/api"), service(read({kBase}), "file/api"));
}

TEST(FileLayers, ListsAndAddressesAreReplaced) {
  const auto both =
      read({kBase, "services: [{name: web, listen: '0.0.0.0:80', backends: ['10.0.0.1:80']}]"});
  EXPECT_EQ(service(both, "file/web").addresses.at(0).to_string(), "0.0.0.0");
  EXPECT_THAT(backends(service(both, "file/web")), ElementsAre("10.0.0.1:80"));
}

TEST(FileLayers, NullTakesAFieldAway) {
  const auto both = read({kBase, "services: [{name: web, policy: {drain_s: null}}]"});
  EXPECT_EQ(service(both, "file/web").policy.drain_s, Policy{}.drain_s);
  EXPECT_EQ(service(both, "file/web").policy.idle_timeout_s, 60u);
}

TEST(FileLayers, ALayerAddsServicesAndTheNextOneChangesThem) {
  const auto three = read({kBase, "services: [{name: new, listen: '127.0.0.1:1', backends: []}]",
                           "services: [{key: file/new, policy: {drain_s: 1}}]"});
  EXPECT_THAT(three.services, SizeIs(3));
  EXPECT_EQ(service(three, "file/new").policy.drain_s, 1u);
}

TEST(FileLayers, NamesTheLayerAndThePlaceOfWhatIsWrong) {
  EXPECT_EQ(refusal({kBase, "services:\n  - name: web\n    listn: 127.0.0.1:80\n"}),
            "layer1.yaml: unknown field 'listn' at line 3, column 5");
  EXPECT_THAT(refusal({kBase, "services:\n  - name: api\n    policy: {drain_s: x}\n"}),
              AllOf(HasSubstr("layer1.yaml: "), HasSubstr("line 3")));
  EXPECT_THAT(refusal({"services: [{name: web, listen: x}]", "services: [{name: api}]"}),
              HasSubstr("layer0.yaml: "));
  EXPECT_THAT(refusal({kBase, "services: [\n"}), HasSubstr("layer1.yaml: "));
}

TEST(FileLayers, RefusesALayerThatSaysNothingOrTheSameTwice) {
  EXPECT_THAT(refusal({kBase, ""}), HasSubstr("layer1.yaml: the file is empty"));
  EXPECT_THAT(refusal({kBase, "{}"}), HasSubstr("layer1.yaml: needs 'services'"));
  EXPECT_THAT(refusal({kBase, "services: {}"}), HasSubstr("must be a list"));
  EXPECT_THAT(refusal({kBase, "services: [{policy: {}}]"}), HasSubstr("needs a 'name'"));
  EXPECT_THAT(refusal({kBase, "services: [{name: web}, {name: web}]"}),
              HasSubstr("'file/web' is given twice"));
}

TEST(FileLayers, ValuesOfTheEnvironmentStandWhereTheyAreNamed) {
  const auto web = service(
      read({"services:\n  - name: web\n    listen: 127.0.0.1:${PORT}\n    backends: ${BACKENDS}\n"
            "    policy:\n      drain_s: ${ABSENT:-7}\n      source_ranges: ${STAFF}\n"}),
      "file/web");
  EXPECT_EQ(web.ports.at(0).port, 9090);
  EXPECT_THAT(backends(web), ElementsAre("127.0.0.1:4002", "127.0.0.1:4003"));
  EXPECT_EQ(web.policy.drain_s, 7u);
  EXPECT_THAT(web.policy.source_ranges, SizeIs(2));
}

TEST(FileLayers, AVariableThatIsNotSetIsRefusedWhereItStands) {
  EXPECT_THAT(refusal({"services:\n  - name: web\n    listen: ${ABSENT}\n"}),
              AllOf(HasSubstr("layer0.yaml: the variable ABSENT is not set"),
                    HasSubstr("at line 3, column 13")));
}

TEST(FileLayers, AGuardThatIsEmptyIsRefused) {
  const std::string head = "services:\n  - name: web\n    listen: 127.0.0.1:1\n    backends: []\n";
  for (const char* ranges : {"${ABSENT:-}", "'${ABSENT:-}'", "'10.0.0.0/8,'", "','"}) {
    EXPECT_FALSE(layered({head + "    policy: {source_ranges: " + ranges + "}\n"}).ok()) << ranges;
  }
}

TEST(FileLayers, AListInOneStringStandsWhereTheStringStood) {
  EXPECT_EQ(refusal({"services:\n  - name: web\n    listen: 127.0.0.1:1\n"
                     "    backends: 127.0.0.1:4000, 10.0.0:80\n"}),
            "layer0.yaml: '10.0.0:80' is neither ADDRESS:PORT nor NAME:PORT at line 4, column 5");
}

}  // namespace
}  // namespace lb::sources
