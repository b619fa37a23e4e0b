// Whose turn it is among Secrets whose time has come.
#include "controller/kube/secret_batch.hpp"

#include <gmock/gmock.h>

namespace lb::kube {
namespace {

using testing::ElementsAre;

std::chrono::steady_clock::time_point second(int n) {
  return std::chrono::steady_clock::time_point(std::chrono::seconds(n));
}
std::vector<std::string> names_of(const std::vector<SecretName>& batch) {
  std::vector<std::string> out;
  for (const auto& each : batch) out.push_back(each.ns + "/" + each.name);
  return out;
}

TEST(SecretBatch, TakesThoseThatHaveWaitedLongest) {
  const DueNames due{
      {"a", {{second(3), {"a", "c"}}, {second(1), {"a", "z"}}, {second(2), {"a", "b"}}}}};
  EXPECT_THAT(names_of(batch_of(due, 2)), ElementsAre("a/z", "a/b"));
}

TEST(SecretBatch, TakesOneOfEachNamespaceAtATime) {
  const DueNames due{
      {"a", {{second(1), {"a", "1"}}, {second(1), {"a", "2"}}, {second(1), {"a", "3"}}}},
      {"b", {{second(9), {"b", "1"}}}}};
  EXPECT_THAT(names_of(batch_of(due, 3)), ElementsAre("a/1", "b/1", "a/2"));
}

TEST(SecretBatch, BeginsWithTheNamespaceThatHasWaitedLongest) {
  const DueNames due{{"a", {{second(2), {"a", "1"}}}}, {"b", {{second(1), {"b", "1"}}}}};
  EXPECT_THAT(names_of(batch_of(due, 1)), ElementsAre("b/1"));
}

TEST(SecretBatch, TakesAllWhereThereIsRoom) {
  const DueNames due{{"a", {{second(1), {"a", "1"}}, {second(2), {"a", "2"}}}}};
  EXPECT_THAT(names_of(batch_of(due, 9)), ElementsAre("a/1", "a/2"));
  EXPECT_TRUE(batch_of({}, 9).empty());
}

}  // namespace
}  // namespace lb::kube
