// Makes lines of text that comes in pieces. A line ends at '\n'; a '\r' before it is no part of it,
// and a line of nothing is none. One thread; holds the line that is not whole yet.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace lb::kube {

class LineSplitter {
 public:
  // Told each line without its end; false: no more of them.
  using OnLine = std::function<bool(const std::string& line)>;

  bool add(std::string_view piece, const OnLine& on_line);

  // What has come since the last line's end is a line too.
  bool end(const OnLine& on_line) { return hand_over(on_line); }

 private:
  bool hand_over(const OnLine& on_line);

  std::string begun_;
};

}  // namespace lb::kube
