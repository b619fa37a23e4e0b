// What a health check's target answers, cut anywhere, and what is sent for a policy of any bytes.
//
// The first two bytes of the input say what status is expected and where the answer is cut, the
// first line after them which bytes are expected.
#include <algorithm>
#include <string>

#include "dataplane/health/expect_match.hpp"
#include "dataplane/health/http_status.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using namespace lb::health;
using lb::fuzz::must;
using Result = std::optional<ProbeResult>;

constexpr size_t kShort = 512;  // so that most of the time goes into new answers

template <class Judged>
Result in_pieces(Judged judge, std::string_view answer, size_t piece) {
  while (!answer.empty()) {
    if (auto result = judge.feed(answer.substr(0, piece))) return result;
    answer.remove_prefix(std::min(piece, answer.size()));
  }
  return std::nullopt;
}

template <class Judged>
Result judged(const Judged& judge, std::string_view answer, size_t piece) {
  const Result whole = in_pieces(judge, answer, std::max<size_t>(answer.size(), 1));
  must(in_pieces(judge, answer, piece) == whole, "where the answer is cut does not matter");
  if (answer.size() <= kShort) {
    must(in_pieces(judge, answer, 1) == whole, "an answer may come byte by byte");
  }
  if (whole) must(whole->ok() == whole->reason.empty(), "a failure says why, a success does not");
  return whole;
}

void check_expect(std::string_view expected, std::string_view answer, size_t piece) {
  const auto result = judged(ExpectMatch(std::string(expected)), answer, piece);
  const auto looked_at = answer.substr(0, Judge::kMaxAnswer);
  const bool there =
      expected.empty() ? !looked_at.empty() : looked_at.find(expected) != std::string_view::npos;
  must((result && result->ok()) == there, "what is there is found, and nothing else");
}

void check_request(std::string_view path, std::string_view host) {
  Check check;
  check.policy.path = std::string(path);
  check.policy.host = std::string(host);
  const std::string request = http_request(check);
  must(request.starts_with("GET /") && request.ends_with("\r\n\r\n"), "a request is whole");
  must(std::count(request.begin(), request.end(), '\n') == 5, "a policy adds no line");
  must(std::count(request.begin(), request.end(), ' ') == 5, "a policy adds no word");
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto text = lb::fuzz::as_text(data + 2, size - 2);
  const size_t line = std::min(text.find('\n'), text.size());
  const auto answer = text.substr(std::min(line + 1, text.size()));
  const size_t piece = 1 + data[1];
  const auto status = static_cast<uint16_t>(100 + data[0] * 2);
  const auto result = judged(HttpStatus(status), answer, piece);
  if (result && result->ok()) must(answer.starts_with("HTTP/1."), "a success has a status line");
  check_expect(text.substr(0, line), answer, piece);
  check_request(answer, text.substr(0, line));
  return 0;
}
