// TLS that ends at services of a configuration file: paths there, names on the wire.
#include <gmock/gmock.h>

#include "controller/sources/file_document.hpp"
#include "controller/sources/tls_expander.hpp"

namespace lb::sources {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

FileDocument read(const std::string& services, const std::string& folder = "/etc/lb") {
  const auto document = parse_file_layers({{"lb.yaml", "services:\n" + services, folder}}, {});
  EXPECT_TRUE(document.ok()) << document.error().pointer << document.error().message;
  return document.ok() ? *document : FileDocument{};
}

Error refused(const std::string& tls) {
  const auto document = parse_file_document(
      "services:\n- name: a\n  listen: 10.0.0.1:443\n  tls: " + tls + "\n  backends: 10.0.0.2:1\n");
  EXPECT_FALSE(document.ok()) << tls;
  return document.ok() ? Error{} : document.error();
}

TEST(FileTls, StandsBesideListen) {
  const auto document = read(R"(
- name: web
  listen: 10.0.0.1:443, 10.0.0.1:8443
  backends: 10.0.0.2:1
  tls:
    certificates:
    - /etc/tls/web.pem
    - {certificate: shop.crt, key: keys/shop.key}
    default_certificate: shop.crt
    alpn: h2, http/1.1
    client_authorities: ../ca/clients.crt
    backend: {server_name: web.internal, authorities: internal.crt}
)");
  ASSERT_THAT(document.services, SizeIs(1));
  ASSERT_THAT(document.services[0].ports, SizeIs(2));
  for (const auto& port : document.services[0].ports) {
    EXPECT_EQ(port.tls.mode, TlsMode::kTerminate) << "certificates say so";
    EXPECT_THAT(port.tls.certificates, ElementsAre("file/etc/lb/shop.crt", "file/etc/tls/web.pem"));
    EXPECT_EQ(port.tls.default_certificate, "file/etc/lb/shop.crt");
    EXPECT_THAT(port.tls.alpn, ElementsAre("h2", "http/1.1"));
    EXPECT_THAT(port.tls.client_authorities, ElementsAre("file/etc/ca/clients.crt"));
    EXPECT_THAT(port.tls.backend->authorities, ElementsAre("file/etc/lb/internal.crt"));
  }
  const auto& files = document.certificates;
  ASSERT_THAT(files, SizeIs(4));
  EXPECT_EQ(files.at("file/etc/tls/web.pem").key, "/etc/tls/web.pem") << "one file has both";
  EXPECT_EQ(files.at("file/etc/lb/shop.crt").key, "/etc/lb/keys/shop.key");
  EXPECT_EQ(files.at("file/etc/ca/clients.crt").key, "") << "authorities have none";
}

TEST(FileTls, StandsInAPortAsOnTheWire) {
  const auto document = read(R"(
- name: web
  addresses: [10.0.0.1]
  ports:
  - {port: 80, backends: "10.0.0.2:1"}
  - {port: 443, tls: {certificates: a.pem}, backends: "10.0.0.2:1"}
)");
  ASSERT_THAT(document.services, SizeIs(1));
  EXPECT_EQ(document.services[0].ports[0].tls.mode, TlsMode::kNone);
  EXPECT_THAT(document.services[0].ports[1].tls.certificates, ElementsAre("file/etc/lb/a.pem"));
}

TEST(FileTls, SeveralServicesMayNameOneFile) {
  const std::string tail = ", backends: '10.0.0.2:1', tls: {certificates: a.pem, ";
  const auto document =
      read("- {name: a, listen: '10.0.0.1:443'" + tail + "client_authorities: a.pem}}\n" +
           "- {name: b, listen: '10.0.0.1:444'" + tail + "alpn: h2}}\n");
  ASSERT_THAT(document.certificates, SizeIs(1));
  EXPECT_EQ(document.certificates.begin()->second.key, "/etc/lb/a.pem");
}

TEST(FileTls, PathsAreRelativeToTheFileThatNamesThem) {
  const auto document = parse_file_layers(
      {{"base/lb.yaml",
        "services: [{name: a, listen: '10.0.0.1:443', backends: '10.0.0.2:1', tls: {certificates: "
        "a.pem, client_authorities: ca.pem}}]",
        "/base"},
       {"over/lb.yaml", "services: [{name: a, tls: {certificates: [b.pem]}}]", "/over"}},
      {});
  ASSERT_TRUE(document.ok()) << document.error().message;
  const TlsPolicy& tls = document->services[0].ports[0].tls;
  EXPECT_THAT(tls.certificates, ElementsAre("file/over/b.pem"));
  EXPECT_THAT(tls.client_authorities, ElementsAre("file/base/ca.pem"));
  EXPECT_EQ(document->certificates.at("file/over/b.pem").file, "over/lb.yaml");
}

TEST(FileTls, PassesThroughWhereItSaysSo) {
  const auto document = read(
      "- {name: a, listen: '10.0.0.1:443', backends: '10.0.0.2:1', tls: {mode: passthrough}}\n");
  EXPECT_EQ(document.services[0].ports[0].tls.mode, TlsMode::kPassthrough);
  EXPECT_THAT(document.certificates, IsEmpty());
}

TEST(FileTls, IsRefusedAtItsPlace) {
  struct Case {
    const char* tls;
    const char* why;
  };
  const Case cases[] = {
      {"{certificates: [7]}", "must be a path"},
      {"{certificates: [{certificate: a.pem}]}", "needs 'key'"},
      {"{certificates: [{certificate: a.pem, key: 1}]}", "must be a path"},
      {"{certificates: [{certificate: a.pem, cert: b}]}", "unknown field 'cert'"},
      {"{certificates: ['']}", "must be a path"},
      {"{certificates: [{certificate: a.pem, key: a}, {certificate: a.pem, key: b}]}",
       "beside another key"},
      {"{certificates: [a.pem, a.pem]}", "twice"},
      {"{certificates: ['a b', a_20b]}", "would have one name"},
      {"{certificates: []}", "required"},
      {"{certificates: a.pem, client_authorities: [{certificate: a, key: b}]}", "path of a file"},
      {"{certificates: a.pem, default_certificate: b.pem}", "none of the certificates"},
      {"{certificates: a.pem, backend: {}}", "verified for"},
      {"{certificates: a.pem, ciphers: x}", "unknown field"},
      {"{mode: end}", ""},
      {"{alpn: h2}", "mode"},
      {"a.pem", ""},
  };
  for (const auto& [tls, why] : cases) {
    const auto error = refused(tls);
    EXPECT_THAT(error.message, HasSubstr("line 4")) << tls << ": " << error.message;
    EXPECT_THAT(error.message + error.pointer, HasSubstr(why)) << tls;
  }
}

TEST(FileTls, NeedsListenBesideIt) {
  const auto document = parse_file_document(
      "services: [{name: a, tls: {certificates: a}, addresses: [10.0.0.1], ports: []}]");
  ASSERT_FALSE(document.ok());
  EXPECT_THAT(document.error().message, HasSubstr("needs 'listen' beside it"));
}

TEST(FileTls, NamesAreMadeOfPaths) {
  EXPECT_EQ(certificate_name("/etc/tls/web.pem"), "file/etc/tls/web.pem");
  EXPECT_EQ(certificate_name("/etc/a b/\xc3\xa9.pem"), "file/etc/a_20b/_c3_a9.pem");
  EXPECT_EQ(certificate_name("/etc/.../..data/x"), "file/etc/_2e_2e_2e/..data/x");
  EXPECT_FALSE(parse_file_document("services: [{name: a, listen: '10.0.0.1:443', tls: "
                                   "{certificates: /" +
                                   std::string(300, 'a') + "}}]")
                   .ok())
      << "longer than names may be";
}

}  // namespace
}  // namespace lb::sources
