#include "common/model/dom_builder.hpp"

#include <string>
#include <utility>
#include <vector>

#include "common/model/json.hpp"

namespace lb::wire {
namespace {

using Json = nlohmann::json;

constexpr int kNumberOverflow = 406;  // nlohmann's number of that error

std::string line_and_column(std::string_view text, size_t byte) {
  size_t line = 1, column = 1;
  for (size_t i = 0; i + 1 < byte && i < text.size(); ++i) {
    column = text[i] == '\n' ? 1 : column + 1;
    line += text[i] == '\n';
  }
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

// For nlohmann::json::sax_parse(), once.
class DomBuilder {
 public:
  DomBuilder(std::string_view text, DomLimits limits) : text_(text), limits_(limits) {}

  Json take() { return std::move(root_); }

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(Json::number_integer_t value) { return add(value); }
  bool number_unsigned(Json::number_unsigned_t value) { return add(value); }
  bool number_float(Json::number_float_t value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(Json::binary_t&) { return false; }  // JSON has none
  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    Frame& frame = frames_.back();
    auto& members = frame.container->get_ref<Json::object_t&>();
    const auto [member, fresh] = members.emplace(name, nullptr);
    frame.key = std::move(name);
    frame.member = &member->second;
    if (!fresh) throw Refused{{"Syntax", "member appears twice", pointer()}};
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) {
    if (error.id == kNumberOverflow) {
      throw Refused{{"Syntax", "a number is too large to represent"}};
    }
    throw Refused{{"Syntax", "not valid JSON at " + line_and_column(text_, position)}};
  }

 private:
  struct Frame {
    Json* container;  // stays where it is while it is open: only the last child of a list grows
    std::string key;  // of the member that is read, in an object
    Json* member = nullptr;
  };

  bool add(Json value) {
    place(std::move(value));
    return true;
  }

  bool open(Json container) {
    Json& placed = place(std::move(container));
    if (frames_.size() >= limits_.depth) {
      throw Refused{{"TooDeep", "nested deeper than " + std::to_string(limits_.depth) + " levels",
                     pointer()}};
    }
    frames_.push_back({&placed, {}});
    return true;
  }

  bool close() {
    frames_.pop_back();
    return true;
  }

  Json& place(Json value) {
    if (++values_ > limits_.values) {
      throw Refused{{"TooLarge", "more than " + std::to_string(limits_.values) + " values"}};
    }
    if (frames_.empty()) return root_ = std::move(value);
    Frame& frame = frames_.back();
    if (frame.container->is_object()) return *frame.member = std::move(value);
    auto& elements = frame.container->get_ref<Json::array_t&>();
    elements.push_back(std::move(value));
    return elements.back();
  }

  std::string pointer() const {
    std::string out;
    for (const auto& frame : frames_) {
      const bool object = frame.container->is_object();
      out = child(out, object ? frame.key : std::to_string(frame.container->size() - 1));
    }
    return out;
  }

  const std::string_view text_;
  const DomLimits limits_;
  Json root_;
  std::vector<Frame> frames_;
  size_t values_ = 0;
};

}  // namespace

Json build_dom(std::string_view text, DomLimits limits) {
  DomBuilder builder(text, limits);
  Json::sax_parse(text, &builder);
  return builder.take();
}

}  // namespace lb::wire
