#include "dataplane/health/probe_result.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace lb::health {
namespace {

constexpr std::chrono::nanoseconds kMostLate = std::chrono::milliseconds(250);

const char* own_want(int error) {
  switch (error) {
    case EMFILE:
    case ENFILE:
      return "OurOwnWant: no descriptor left";
    case ENOBUFS:
    case ENOMEM:
    case ENOSPC:  // epoll_ctl(2): the user's limit of watches
      return "OurOwnWant: no memory left";
    // EAGAIN is what connect(2) says when the local ports of an unbound socket are used up.
    case EADDRNOTAVAIL:
    case EADDRINUSE:
    case EAGAIN:
      return "OurOwnWant: no local port or address";
    default:
      return nullptr;
  }
}

const char* failure(int error) {
  switch (error) {
    case ECONNREFUSED:
      return "ConnectRefused";
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case ENONET:
      return "Unreachable";
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
      return "Reset";
    default:
      return nullptr;
  }
}

}  // namespace

ProbeResult result_of_errno(int error) {
  if (const char* reason = own_want(error)) return {Outcome::kOwnWant, reason};
  if (const char* reason = failure(error)) return {Outcome::kFailure, reason};
  if (error == ETIMEDOUT) return {Outcome::kTimeout, "ConnectTimeout"};
  return {Outcome::kFailure, "SocketError: " + std::generic_category().message(error)};
}

ProbeResult result_of_deadline(std::chrono::nanoseconds late, std::chrono::milliseconds timeout,
                               bool connected) {
  if (late > std::max<std::chrono::nanoseconds>(kMostLate, timeout / 4)) {
    return {Outcome::kOwnWant, "OurOwnWant: no time to look at the answer"};
  }
  return {Outcome::kTimeout, connected ? "Timeout" : "ConnectTimeout"};
}

}  // namespace lb::health
