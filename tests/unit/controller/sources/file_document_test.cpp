#include "controller/sources/file_document.hpp"

#include <gtest/gtest.h>

namespace lb::sources {
namespace {

FileDocument read(std::string_view text) {
  const auto document = parse_file_document(text);
  EXPECT_TRUE(document.ok()) << document.error().message;
  return document.ok() ? *document : FileDocument{};
}

Error refusal(std::string_view text) {
  const auto document = parse_file_document(text);
  EXPECT_FALSE(document.ok());
  return document.ok() ? Error{} : document.error();
}

TEST(FileDocument, ExpandsTheShortForm) {
  const auto document = read(
      "services:\n"
      "  - name: web\n"
      "    listen: 127.0.0.1:8080\n"
      "    backends: ['127.0.0.1:4001', '127.0.0.1:4000']\n");
  ASSERT_EQ(document.services.size(), 1U);
  const Service& web = document.services[0];
  EXPECT_EQ(web.key, "file/web");
  EXPECT_EQ(web.addresses[0].to_string(), "127.0.0.1");
  EXPECT_EQ(web.ports[0].port, 8080);
  EXPECT_EQ(web.ports[0].backends[0].endpoint().to_string(), "127.0.0.1:4000");
}

TEST(FileDocument, MeansTheSameAsTheLongForm) {
  EXPECT_EQ(read("services: [{name: a, listen: '[::1]:80', backends: ['[::1]:1']}]"),
            read(R"({"services": [{"key": "file/a", "addresses": ["::1"],
                  "ports": [{"port": 80, "backends": [{"address": "::1", "port": 1}]}]}]})"));
}

TEST(FileDocument, CrossesAddressesWithPorts) {
  const auto web = read(
                       "services: [{name: a, listen: ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.1:81', "
                       "'10.0.0.2:81']}]")
                       .services[0];
  EXPECT_EQ(web.addresses.size(), 2U);
  EXPECT_EQ(web.ports.size(), 2U);
}

TEST(FileDocument, RefusesListenersThatAreNoCross) {
  EXPECT_EQ(refusal("services: [{name: a, listen: ['10.0.0.1:80', '10.0.0.2:81']}]").pointer,
            "/services/0/listen");
}

TEST(FileDocument, KeepsBackendsByNameAside) {
  const auto document =
      read("services: [{name: a, listen: '10.0.0.1:80', backends: ['web1:8080', '10.0.0.9:1']}]");
  EXPECT_EQ(document.named, (std::vector<NamedBackend>{{"file/a", 80, "web1", 8080}}));
  EXPECT_EQ(document.services[0].ports[0].backends.size(), 1U);
}

TEST(FileDocument, RefusesMistypedAddressesInsteadOfLookingThemUp) {
  const Error error =
      refusal("services:\n- name: a\n  listen: '10.0.0.1:80'\n  backends:\n  - 10.0.0:80\n");
  EXPECT_EQ(error.message, "'10.0.0:80' is neither ADDRESS:PORT nor NAME:PORT at line 5, column 5");
}

TEST(FileDocument, PointsAtTheBackendAfterOnesByName) {
  const Error error = refusal(
      "services:\n"
      "- name: a\n"
      "  listen: 10.0.0.1:80\n"
      "  backends:\n"
      "  - web1:80\n"
      "  - {address: 10.0.0.2, port: 70000}\n");
  EXPECT_NE(error.message.find("at line 6"), std::string::npos) << error.message;
}

TEST(FileDocument, NamesLineAndColumnOfAnUnknownField) {
  EXPECT_EQ(refusal("services:\n  - name: a\n    listn: 10.0.0.1:80\n").message,
            "unknown field 'listn' at line 3, column 5");
}

TEST(FileDocument, RefusesBackendsWithNowhereToListen) {
  EXPECT_EQ(refusal("services: [{name: a, backends: ['10.0.0.1:80']}]").pointer,
            "/services/0/backends");
}

TEST(FileDocument, RefusesTwoServicesOfOneName) {
  EXPECT_EQ(refusal("services: [{name: a}, {name: a}]").message,
            "the name 'a' is given twice at line 1, column 24");
}

TEST(FileDocument, ServesNothingOnlyWhenToldSo) {
  EXPECT_TRUE(read("services: []").services.empty());
  EXPECT_FALSE(refusal("").message.empty());
  EXPECT_FALSE(refusal("services:\n").message.empty());
  EXPECT_FALSE(refusal("{}").message.empty());
}

TEST(FileDocument, AsksForAName) {
  EXPECT_EQ(refusal("services:\n  - listen: 10.0.0.1:80\n").message,
            "needs a 'name' at line 2, column 5");
}

TEST(FileDocument, RefusesAFileThatIsNoMap) { EXPECT_FALSE(refusal("just words").message.empty()); }

}  // namespace
}  // namespace lb::sources
