// Follows an answer that has no end: one HTTP/1.1 request over TCP, TLS or a unix socket, whose
// body comes line by line for as long as the server likes.
//
// Lives on the caller's io_context and calls its handlers there: opened once the header says 200,
// line for each whole line (newline-delimited JSON, as Docker and others stream it; without its
// end), ended once, with the reason. A handler may destroy the object, after which none is called;
// nor is one while the constructor runs. Chunked bodies and such as end with the connection; a
// header has 16 KiB at most, a line 1 MiB. Errors of ended: "Connect", "Tls", "Timeout" (no header
// in time), "Status" (another than 200), "Protocol" (no HTTP, or cut short), "TooLarge" (a line),
// "Ended" (as HTTP has it).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string_view>

#include "common/model/result.hpp"
#include "common/net/asio.hpp"
#include "common/net/http_client.hpp"
#include "common/net/http_message.hpp"

namespace lb::net {

inline constexpr size_t kMaxLine = 1u << 20;

class HttpLines {
 public:
  struct Handlers {
    std::function<void()> opened;
    std::function<void(std::string_view)> line;
    std::function<void(Error)> ended;
  };

  // `patience`: from connecting to the end of the header. A body may be silent for ever.
  HttpLines(asio::io_context& io, HttpServerAddress server, HttpRequest request,
            std::chrono::milliseconds patience, Handlers handlers);
  ~HttpLines();
  HttpLines(const HttpLines&) = delete;
  HttpLines& operator=(const HttpLines&) = delete;

  struct Call;  // of the implementation

 private:
  std::shared_ptr<Call> call_;
};

}  // namespace lb::net
