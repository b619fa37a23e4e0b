// What we need of an HTTP client for the Kubernetes API: one exchange, and one endless answer.
//
// Blocking: called from a thread that may wait. One call at a time for each object; cancel() from
// any thread ends the call under way at once and every later one, for good. Errors: "Connect",
// "Timeout", "Cancelled", "Closed" (ended before it was whole), "Tls".
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "common/model/result.hpp"
#include "common/net/http_message.hpp"

namespace lb::kube {

class HttpClient {
 public:
  // One line without its end; false ends the stream.
  using OnLine = std::function<bool(const std::string& line)>;

  virtual ~HttpClient() = default;

  virtual Result<net::HttpResponse> request(const net::HttpRequest& request) = 0;

  // Hands the lines of a 200 over as they arrive and returns when the server has ended the answer,
  // when `on_line` wants no more, or when nothing came for the idle timeout (a "Timeout"). Any
  // other status comes back whole, with its body.
  virtual Result<net::HttpResponse> stream(const net::HttpRequest& request,
                                           const OnLine& on_line) = 0;

  virtual void cancel() = 0;
};

struct HttpTimeouts {
  std::chrono::milliseconds request{10'000};
  std::chrono::milliseconds idle{150'000};  // of a stream
};

using HttpClientFactory = std::function<std::unique_ptr<HttpClient>()>;

}  // namespace lb::kube
