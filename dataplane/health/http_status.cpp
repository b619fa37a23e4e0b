#include "dataplane/health/http_status.hpp"

#include <algorithm>
#include <utility>

namespace lb::health {
namespace {

constexpr std::string_view kVersion = "HTTP/1.";
constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kFieldsEnd = "\r\n\r\n";
constexpr uint16_t kSwitchingProtocols = 101;  // final, unlike the other 1xx

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_control(char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }

std::string encoded(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

bool is_interim(uint16_t status) { return status < 200 && status != kSwitchingProtocols; }

}  // namespace

std::string http_request(const Check& check) {
  const HealthPolicy& policy = check.policy;
  const std::string path = policy.path.starts_with('/') ? policy.path : "/" + policy.path;
  const std::string host = policy.host.empty() ? check.target.to_string() : policy.host;
  return "GET " + encoded(path) + " HTTP/1.1\r\nHost: " + encoded(host) +
         "\r\nUser-Agent: empalme-health\r\nConnection: close\r\n\r\n";
}

std::optional<uint16_t> parse_status_line(std::string_view line) {
  constexpr size_t kDigits = kVersion.size() + 2;  // after the minor version and a space
  constexpr size_t kShortest = kDigits + 3;
  if (line.size() < kShortest || !line.starts_with(kVersion)) return std::nullopt;
  if (!is_digit(line[kDigits - 2]) || line[kDigits - 1] != ' ') return std::nullopt;
  const std::string_view digits = line.substr(kDigits, 3);
  if (!std::ranges::all_of(digits, is_digit) || digits[0] == '0') return std::nullopt;
  const std::string_view rest = line.substr(kShortest);
  if (!rest.empty() && rest[0] != ' ') return std::nullopt;
  if (std::ranges::any_of(rest, is_control)) return std::nullopt;
  return static_cast<uint16_t>((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + digits[2] - '0');
}

std::optional<ProbeResult> HttpStatus::feed(std::string_view bytes) {
  const std::string_view taken = bytes.substr(0, kMaxAnswer - received_);
  held_ += taken;
  received_ += taken.size();
  return decide();
}

// Each turn either drops what it has understood or returns, so it ends.
std::optional<ProbeResult> HttpStatus::decide() {
  while (true) {
    const std::string_view end = in_interim_ ? kFieldsEnd : kLineEnd;
    const size_t at = held_.find(end, scanned_ - std::min(scanned_, end.size() - 1));
    if (at == std::string::npos) {
      scanned_ = held_.size();
      return incomplete();
    }
    if (std::exchange(in_interim_, false)) {
      drop(at + end.size());
      continue;
    }
    const auto status = parse_status_line(std::string_view(held_).substr(0, at));
    if (!status) return ProbeResult{Outcome::kFailure, "HttpMalformed"};
    if (*status == expected_) return ProbeResult{};
    if (!is_interim(*status)) {
      return ProbeResult{Outcome::kFailure, "HttpStatus: " + std::to_string(*status)};
    }
    // The line's own CRLF stays: with the next one it ends fields of which there are none.
    drop(at);
    in_interim_ = true;
  }
}

std::optional<ProbeResult> HttpStatus::incomplete() const {
  const std::string_view begin = std::string_view(held_).substr(0, kVersion.size());
  if (!in_interim_ && !kVersion.starts_with(begin)) {
    return ProbeResult{Outcome::kFailure, "HttpMalformed"};
  }
  if (received_ >= kMaxAnswer) return ProbeResult{Outcome::kFailure, "HttpTooLong"};
  return std::nullopt;
}

void HttpStatus::drop(size_t bytes) {
  held_.erase(0, bytes);
  scanned_ = 0;
}

}  // namespace lb::health
