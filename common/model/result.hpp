// Outcome of an operation that can fail for a reason that a person should read.
//
// Used wherever an exception must not travel: codecs, the byte path, event handlers. A value type;
// safe to move between threads.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace lb {

// `code` is CamelCase, stable, and fit for a metric label or a Kubernetes reason; `message` is for
// people; `pointer` is an RFC 6901 JSON pointer to the offending place, empty when there is none.
struct Error {
  std::string code;
  std::string message;
  std::string pointer = {};

  bool operator==(const Error&) const = default;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(implicit)
  Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(implicit)

  bool ok() const { return held_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Precondition: ok().
  const T& value() const& { return std::get<0>(held_); }
  T& value() & { return std::get<0>(held_); }
  T&& value() && { return std::get<0>(std::move(held_)); }
  const T& operator*() const& { return value(); }
  T& operator*() & { return value(); }
  const T* operator->() const { return &value(); }
  T* operator->() { return &value(); }

  // Precondition: !ok().
  const Error& error() const { return std::get<1>(held_); }

 private:
  std::variant<T, Error> held_;
};

// Result of an operation that yields nothing but may fail.
struct Done {
  bool operator==(const Done&) const = default;
};
using Status = Result<Done>;

}  // namespace lb
