// Writes one JSON text (RFC 8259) from its beginning to its end, without a tree of it.
//
// What is written is the caller's to balance; commas are put where they belong. Text that is no
// UTF-8 becomes U+FFFD, since names come from foreign systems. Does not throw; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace lb::wire {

class JsonWriter {
 public:
  void begin_object() { open('{'); }
  void end_object() { text_ += '}'; }
  void begin_array() { open('['); }
  void end_array() { text_ += ']'; }

  // The name of what comes next. `name` is ours, so nothing in it needs an escape.
  void name(std::string_view name);

  void text(std::string_view value);
  void number(uint64_t value);
  void flag(bool value);
  // A value that is JSON already.
  void raw(std::string_view json);

  // Takes everything since `mark` back, as if it had not been written.
  size_t mark() const { return text_.size(); }
  void back_to(size_t mark) { text_.resize(mark); }

  void reserve(size_t size) { text_.reserve(size); }
  std::string take() { return std::exchange(text_, {}); }

 private:
  void separate();
  void open(char bracket);

  std::string text_;
};

inline void member(JsonWriter& out, const char* name, uint64_t value) {
  out.name(name);
  out.number(value);
}

inline void member(JsonWriter& out, const char* name, const std::string& value) {
  out.name(name);
  out.text(value);
}

}  // namespace lb::wire
