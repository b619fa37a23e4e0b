// An HTTP/1.1 request and response as plain values (RFC 9110), independent of any HTTP library.
//
// Shared by our server and by every client adapter, so that callers never see a library's types.
// Bodies are bytes. Header names keep the case in which they were given; find() ignores case, as
// RFC 9110 section 5.1 asks.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lb::net {

struct HttpHeader {
  std::string name;
  std::string value;

  bool operator==(const HttpHeader&) const = default;
};

// The first header of that name; nullopt when there is none.
inline std::optional<std::string> find(const std::vector<HttpHeader>& headers,
                                       std::string_view name) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  for (const auto& header : headers) {
    if (header.name.size() != name.size()) continue;
    size_t i = 0;
    while (i < name.size() && lower(header.name[i]) == lower(name[i])) ++i;
    if (i == name.size()) return header.value;
  }
  return std::nullopt;
}

struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";  // path and query, percent-encoded
  std::vector<HttpHeader> headers = {};
  std::string body = {};

  bool operator==(const HttpRequest&) const = default;
};

struct HttpResponse {
  int status = 200;
  std::vector<HttpHeader> headers = {};
  std::string body = {};
  // Instead of `body`, where it is set: one that many answers have in common.
  std::shared_ptr<const std::string> shared_body = {};

  // The body, whichever it is.
  const std::string& text() const { return shared_body ? *shared_body : body; }

  bool operator==(const HttpResponse& other) const {
    return status == other.status && headers == other.headers && text() == other.text();
  }
};

}  // namespace lb::net
