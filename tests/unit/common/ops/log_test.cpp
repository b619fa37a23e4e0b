// Lines are JSON whatever stands in them.
#include "common/ops/log.hpp"
#include "common/model/json.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

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

// A pipe that nobody reads, full.
struct FullPipe {
  FullPipe() {
    EXPECT_EQ(pipe2(ends, O_NONBLOCK), 0);
    const std::string block(4096, 'x');
    while (write(ends[1], block.data(), block.size()) > 0) {
    }
    fcntl(ends[1], F_SETFL, 0);
  }
  ~FullPipe() {
    close(ends[0]);
    close(ends[1]);
  }
  void drain() {
    std::string block(1 << 20, 0);
    while (read(ends[0], block.data(), block.size()) > 0) {
    }
  }
  int ends[2];
};

TEST(Log, AReaderThatDoesNotReadHoldsNobodyUp) {
  FullPipe full;
  EXPECT_FALSE(write_line(full.ends[1], "line\n"));
  full.drain();
  EXPECT_TRUE(write_line(full.ends[1], "line\n"));
}

TEST(Log, ALongLineWaitsForItsReaderOnlyAMoment) {
  FullPipe full;
  full.drain();
  EXPECT_FALSE(write_line(full.ends[1], std::string(1 << 20, 'x'))) << "more than a pipe holds";
}

TEST(Log, CountsWhatCouldNotBeWritten) {
  FullPipe full;
  const int before = dup(STDERR_FILENO);
  const auto lost = lost_messages();
  dup2(full.ends[1], STDERR_FILENO);
  log(Level::kError, "nobody reads this");
  dup2(before, STDERR_FILENO);
  close(before);
  EXPECT_EQ(lost_messages(), lost + 1);
}

}  // namespace
}  // namespace lb::ops
