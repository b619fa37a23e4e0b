// Lines are JSON whatever stands in them.
#include "common/ops/log.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

namespace lb::ops {
namespace {

TEST(Log, WritesTimeLevelMessageAndFieldsInOrder) {
  EXPECT_EQ(format_line("t", Level::kWarning, "what", {{"key", "a"}, {"count", uint64_t{3}}}),
            R"({"time":"t","level":"warning","message":"what","key":"a","count":"3"})");
}

TEST(Log, CannotBeForgedByWhatItIsGiven) {
  const auto line = format_line("t", Level::kInfo, "a\"}\n{\"level\":\"error", {{"k", "\xff\x01"}});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(line)["level"], "info");
}

TEST(Log, ShowsATerminalNothingThatItWouldObey) {
  const auto line = format_line("t", Level::kInfo, "\x1b[2J\x7f\u009b31m", {{"k", "\u202e"}});
  for (const char c : line) EXPECT_TRUE(c >= ' ' && c < '\x7f') << line;
  EXPECT_EQ(nlohmann::json::parse(line)["message"], "\x1b[2J\x7f\u009b31m");
}

TEST(Log, ReadsItsLevels) {
  EXPECT_EQ(parse_level("debug"), Level::kDebug);
  EXPECT_EQ(parse_level("warning"), Level::kWarning);
  EXPECT_EQ(parse_level("error"), Level::kError);
  EXPECT_EQ(parse_level("loud"), Level::kInfo);
}

TEST(Log, LeavesOutWhatIsBelowTheLevel) {
  set_log_level(Level::kError);
  testing::internal::CaptureStderr();
  log(Level::kWarning, "quiet");
  log_error({"Reason", "loud", "/a"});
  const auto out = testing::internal::GetCapturedStderr();
  set_log_level(Level::kInfo);
  EXPECT_EQ(out.find("quiet"), std::string::npos);
  EXPECT_NE(out.find(R"("message":"loud","reason":"Reason","pointer":"/a")"), std::string::npos);
}

}  // namespace
}  // namespace lb::ops
