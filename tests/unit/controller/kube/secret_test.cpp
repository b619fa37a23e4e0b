// Secrets as the API server answers with them, and answers that are none.
#include "controller/kube/secret.hpp"

#include <gmock/gmock.h>

namespace lb::kube {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;

TEST(Secret, HasItsBytes) {
  const auto secret = secret_from(
      R"({"metadata":{"resourceVersion":"7"},"data":{"tls.crt":"Y2hhaW4=","empty":""}})");
  ASSERT_TRUE(secret);
  EXPECT_EQ(secret->version, "7");
  EXPECT_THAT(secret->data, ElementsAre(Pair("empty", ""), Pair("tls.crt", "chain")));
}

TEST(Secret, LeavesOutWhatIsNoText) {
  const auto secret = secret_from(
      R"({"metadata":{"resourceVersion":"7"},"data":{"a":1,"b":"*","c":null,"d":"ZA=="}})");
  ASSERT_TRUE(secret);
  EXPECT_THAT(secret->data, ElementsAre(Pair("d", "d")));
}

TEST(Secret, MayHaveNothing) {
  for (const char* text : {R"({"metadata":{"resourceVersion":"7"}})",
                           R"({"metadata":{"resourceVersion":"7"},"data":null})",
                           R"({"metadata":{"resourceVersion":"7"},"data":["x"]})"}) {
    const auto secret = secret_from(text);
    ASSERT_TRUE(secret) << text;
    EXPECT_THAT(secret->data, IsEmpty());
  }
}

TEST(Secret, WithoutAVersionIsNone) {
  for (const char* text : {"", "[]", "null", "{", "{}", R"({"metadata":[]})",
                           R"({"metadata":{"resourceVersion":7},"data":{"key":"c2VjcmV0"}})"}) {
    const auto secret = secret_from(text);
    ASSERT_FALSE(secret) << text;
    EXPECT_THAT(secret.error().message, Not(HasSubstr("c2VjcmV0")));
  }
}

}  // namespace
}  // namespace lb::kube
