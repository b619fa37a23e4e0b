// Asks for one page over HTTP/1.1 and looks at nothing but the status (RFC 9112, section 4).
//
// Strict: "HTTP/1.", a digit, one space, three digits, then CRLF or a space, printable text and
// CRLF. Interim answers (1xx, RFC 9110, section 15.2) are skipped unless one is expected. Reasons:
// `HttpStatus: 503`, `HttpMalformed`, `HttpTooLong`, `Closed`.
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/health/check.hpp"
#include "dataplane/health/judge.hpp"

namespace lb::health {

// What is sent. Bytes of path and host that have no place in a request line or a field are sent
// percent-encoded, so a policy cannot smuggle in another line.
std::string http_request(const Check& check);

// The status of a line without its CRLF.
std::optional<uint16_t> parse_status_line(std::string_view line);

class HttpStatus : public Judge {
 public:
  explicit HttpStatus(uint16_t expected) : expected_(expected) {}

  std::optional<ProbeResult> feed(std::string_view bytes) override;
  ProbeResult at_end() const override { return {Outcome::kFailure, "Closed"}; }

 private:
  std::optional<ProbeResult> decide();
  std::optional<ProbeResult> incomplete() const;
  void drop(size_t bytes);

  const uint16_t expected_;
  std::string held_;    // from the beginning of the status line, or of what is skipped
  size_t scanned_ = 0;  // of held_, without finding an end
  size_t received_ = 0;
  bool in_interim_ = false;  // held_ is within the fields of a 1xx answer
};

}  // namespace lb::health
