// What the demo's load says of a run.
#include "examples/demo/load_report.hpp"

#include <gmock/gmock.h>

namespace demo {
namespace {

using testing::HasSubstr;

TEST(LoadReport, CountsSharesAndFailuresByCause) {
  LoadReport report;
  report.add({100, 110, "a", ""});
  report.add({90, 95, "a", ""});
  report.add({120, 125, "", "reset"});
  EXPECT_EQ(report.ok(), 2u);
  EXPECT_EQ(report.failed(), 1u);
  EXPECT_THAT(report.to_json(), HasSubstr(R"("causes":{"reset":1})"));
  EXPECT_THAT(report.to_json(), HasSubstr(R"("a":{"count":2,"first":90,"last":100})"));
  EXPECT_THAT(report.to_json(), HasSubstr(R"({"began":120,"ms":5,"cause":"reset")"));
}

TEST(LoadReport, IsWholeWhenNothingWasDone) {
  EXPECT_THAT(LoadReport().to_json(), HasSubstr(R"("ok":0,"failed":0)"));
}

}  // namespace
}  // namespace demo
