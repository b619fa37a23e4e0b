#include "controller/kube/line_splitter.hpp"

namespace lb::kube {

bool LineSplitter::add(std::string_view piece, const OnLine& on_line) {
  for (size_t end = piece.find('\n'); end != std::string_view::npos; end = piece.find('\n')) {
    begun_ += piece.substr(0, end);
    piece.remove_prefix(end + 1);
    if (!hand_over(on_line)) return false;
  }
  begun_ += piece;
  return true;
}

bool LineSplitter::hand_over(const OnLine& on_line) {
  if (!begun_.empty() && begun_.back() == '\r') begun_.pop_back();
  const bool more = begun_.empty() || on_line(begun_);
  begun_.clear();
  return more;
}

}  // namespace lb::kube
