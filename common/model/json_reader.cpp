#include "common/model/json_reader.hpp"

#include <nlohmann/json.hpp>

namespace lb::wire {
namespace {

using Event = nlohmann::json::parse_event_t;

// Watches the parse from inside, so that depth and duplicates are refused before memory is spent.
class Guard {
 public:
  explicit Guard(size_t max_depth) : max_depth_(max_depth) {}

  bool operator()(Event event, nlohmann::json& parsed) {
    switch (event) {
      case Event::object_start:
      case Event::array_start:
        open(event == Event::array_start);
        break;
      case Event::object_end:
      case Event::array_end:
        frames_.pop_back();
        step();
        break;
      case Event::key:
        key(parsed.get<std::string>());
        break;
      case Event::value:
        step();
        break;
    }
    return true;
  }

 private:
  struct Frame {
    bool array = false;
    size_t index = 0;
    std::string key = {};
    std::set<std::string> keys = {};
  };

  void open(bool array) {
    if (frames_.size() >= max_depth_) {
      throw Refused{
          {"TooDeep", "nested deeper than " + std::to_string(max_depth_) + " levels", pointer()}};
    }
    frames_.push_back({array});
  }

  void step() {
    if (!frames_.empty() && frames_.back().array) ++frames_.back().index;
  }

  void key(std::string name) {
    Frame& frame = frames_.back();
    frame.key = name;
    if (!frame.keys.insert(std::move(name)).second) {
      throw Refused{{"Syntax", "member appears twice", pointer()}};
    }
  }

  std::string pointer() const {
    std::string out;
    for (const auto& frame : frames_) {
      out = child(out, frame.array ? std::to_string(frame.index) : frame.key);
    }
    return out;
  }

  size_t max_depth_;
  std::vector<Frame> frames_;
};

std::string line_and_column(std::string_view text, size_t byte) {
  size_t line = 1, column = 1;
  for (size_t i = 0; i + 1 < byte && i < text.size(); ++i) {
    column = text[i] == '\n' ? 1 : column + 1;
    line += text[i] == '\n';
  }
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

}  // namespace

void refuse(const std::string& pointer, const std::string& message) {
  throw Refused{{"Schema", message, pointer}};
}

nlohmann::json parse_strict(std::string_view text, size_t max_bytes, size_t max_depth) {
  if (text.size() > max_bytes) {
    throw Refused{{"TooLarge", "larger than " + std::to_string(max_bytes) + " bytes"}};
  }
  Guard guard(max_depth);
  try {
    return nlohmann::json::parse(
        text, [&](int, Event event, nlohmann::json& parsed) { return guard(event, parsed); });
  } catch (const nlohmann::json::parse_error& error) {
    throw Refused{{"Syntax", "not valid JSON at " + line_and_column(text, error.byte)}};
  } catch (const nlohmann::json::out_of_range&) {
    throw Refused{{"Syntax", "a number is too large to represent"}};
  }
}

std::string child(const std::string& pointer, std::string_view token) {
  std::string out = pointer + "/";
  for (const char c : token) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

ObjectReader::ObjectReader(const nlohmann::json& value, std::string pointer)
    : value_(value), pointer_(std::move(pointer)) {
  if (!value_.is_object()) refuse(pointer_, "must be an object");
}

const nlohmann::json* ObjectReader::find(const char* name) {
  known_.insert(name);
  const auto found = value_.find(name);
  return found == value_.end() ? nullptr : &*found;
}

const nlohmann::json& ObjectReader::require(const char* name) {
  const auto* found = find(name);
  if (found == nullptr) refuse(at(name), "is required");
  return *found;
}

void ObjectReader::text(const char* name, std::string& out, size_t max_length) {
  const auto* found = find(name);
  if (found == nullptr) return;
  std::string given = string_of(*found, name);
  if (given.size() > max_length) {
    refuse(at(name), "is longer than " + std::to_string(max_length) + " bytes");
  }
  out = std::move(given);
}

void ObjectReader::flag(const char* name, bool& out) {
  const auto* found = find(name);
  if (found == nullptr) return;
  if (!found->is_boolean()) refuse(at(name), "must be true or false");
  out = found->get<bool>();
}

void ObjectReader::list(
    const char* name, const std::function<void(const nlohmann::json&, const std::string&)>& each) {
  const auto* found = find(name);
  if (found == nullptr) return;
  if (!found->is_array()) refuse(at(name), "must be a list");
  for (size_t i = 0; i < found->size(); ++i) each((*found)[i], child(at(name), std::to_string(i)));
}

void ObjectReader::finish() const {
  for (const auto& [name, value] : value_.items()) {
    if (!known_.contains(name)) refuse(child(pointer_, name), "unknown field");
  }
}

// nlohmann's own get<uint16_t>() wraps without a word, and takes 80.0 for 80.
uint64_t ObjectReader::integer(const nlohmann::json& value, const char* name, uint64_t low,
                               uint64_t high) const {
  const bool whole = value.is_number_unsigned();
  const uint64_t given = whole ? value.get<uint64_t>() : 0;
  if (!whole || given < low || given > high) {
    refuse(at(name),
           "must be a whole number from " + std::to_string(low) + " to " + std::to_string(high));
  }
  return given;
}

std::string ObjectReader::string_of(const nlohmann::json& value, const char* name) const {
  return as_text(value, at(name));
}

std::string as_text(const nlohmann::json& value, const std::string& pointer) {
  if (!value.is_string()) refuse(pointer, "must be a string");
  return value.get<std::string>();
}

}  // namespace lb::wire
