// Where we listen: text, and the kernel's form of it.
#include "common/net/socket_address.hpp"

#include <gmock/gmock.h>

#include "common/net/http_message.hpp"
#include "common/net/sockaddr.hpp"

namespace lb::net {
namespace {

using testing::HasSubstr;

TEST(SocketAddress, ReadsUnixPathsAndEndpoints) {
  EXPECT_EQ(parse_socket_address("unix:/run/x").value(), SocketAddress{UnixPath{"/run/x"}});
  const auto v6 = parse_socket_address("tcp:[::1]:80");
  ASSERT_TRUE(v6.ok());
  EXPECT_EQ(to_string(*v6), "tcp:[::1]:80");
}

TEST(SocketAddress, RefusesEverythingElse) {
  for (const char* bad : {"", "unix:", "unix:relative", "tcp:", "tcp:localhost:80", "tcp:1.2.3.4",
                          "http://x", "/run/x"}) {
    EXPECT_FALSE(parse_socket_address(bad).ok()) << bad;
  }
}

TEST(SocketAddress, RefusesAPathThatTheKernelWouldCut) {
  const auto parsed = parse_socket_address("unix:/" + std::string(200, 'x'));
  ASSERT_FALSE(parsed.ok());
  EXPECT_THAT(parsed.error().message, HasSubstr("longer"));
}

TEST(SocketAddress, SurvivesTheKernelsForm) {
  for (const char* text : {"192.0.2.1:80", "[2001:db8::1]:443"}) {
    const auto endpoint = parse_endpoint(text).value();
    EXPECT_EQ(to_endpoint(to_sockaddr(endpoint)), endpoint) << text;
  }
}

TEST(HttpMessage, FindsHeadersWhateverTheirCase) {
  const std::vector<HttpHeader> headers{{"Retry-After", "3"}, {"retry-after", "4"}};
  EXPECT_EQ(find(headers, "RETRY-AFTER"), "3");
  EXPECT_EQ(find(headers, "Retry"), std::nullopt);
}

}  // namespace
}  // namespace lb::net
