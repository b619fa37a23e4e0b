// Lines come out the same wherever the pieces are cut.
#include "controller/kube/line_splitter.hpp"

#include <gmock/gmock.h>

#include <vector>

namespace lb::kube {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct Heard {
  std::vector<std::string> lines;
  LineSplitter::OnLine on_line = [this](std::string line) {
    lines.push_back(std::move(line));
    return true;
  };
};

TEST(LineSplitter, CutsWhereverAPieceEnds) {
  const std::string text = "one\ntwo\r\n\n\r\nthree\n";
  for (size_t size = 1; size <= text.size(); ++size) {
    LineSplitter splitter;
    Heard heard;
    for (size_t at = 0; at < text.size(); at += size) {
      EXPECT_TRUE(splitter.add(text.substr(at, size), heard.on_line));
    }
    EXPECT_THAT(heard.lines, ElementsAre("one", "two", "three")) << "pieces of " << size;
  }
}

TEST(LineSplitter, TakesAnUnendedLineForOneAtTheEnd) {
  LineSplitter splitter;
  Heard heard;
  splitter.add("one\ntw", heard.on_line);
  EXPECT_THAT(heard.lines, ElementsAre("one"));
  splitter.end(heard.on_line);
  splitter.end(heard.on_line);
  EXPECT_THAT(heard.lines, ElementsAre("one", "tw"));
}

TEST(LineSplitter, SaysNothingOfNothing) {
  LineSplitter splitter;
  Heard heard;
  splitter.add("", heard.on_line);
  splitter.end(heard.on_line);
  EXPECT_THAT(heard.lines, IsEmpty());
}

TEST(LineSplitter, StopsWhenNoMoreIsWanted) {
  LineSplitter splitter;
  std::vector<std::string> lines;
  const auto first_only = [&](std::string line) {
    lines.push_back(std::move(line));
    return false;
  };
  EXPECT_FALSE(splitter.add("one\ntwo\n", first_only));
  EXPECT_THAT(lines, ElementsAre("one"));
}

TEST(LineSplitter, LeavesOtherBytesAlone) {
  LineSplitter splitter;
  Heard heard;
  splitter.add(std::string("a\0\rb\n", 5), heard.on_line);
  EXPECT_THAT(heard.lines, ElementsAre(std::string("a\0\rb", 4)));
}

}  // namespace
}  // namespace lb::kube
