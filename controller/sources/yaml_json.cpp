#include "controller/sources/yaml_json.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <optional>
#include <sstream>

#include "common/model/json.hpp"
#include "common/model/json_reader.hpp"
#include "common/model/state_json.hpp"

namespace lb::sources {
namespace {

using Json = nlohmann::json;

struct BadYaml {
  Error error;
};

[[noreturn]] void refuse(const std::string& what, Position at, const std::string& pointer) {
  throw BadYaml{{"Syntax", what + " at " + describe(at), pointer}};
}

Position position_of(const YAML::Mark& mark) {
  return {static_cast<size_t>(mark.line + 1), static_cast<size_t>(mark.column + 1)};
}

template <class Number>
std::optional<Json> as_number(const std::string& text) {
  Number number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return Json(number);
}

Json scalar(const std::string& text, bool quoted) {
  if (quoted) return text;
  if (text.empty() || text == "~" || text == "null") return nullptr;
  if (text == "true" || text == "false") return text == "true";
  if (const auto number = as_number<uint64_t>(text)) return *number;
  if (const auto number = as_number<int64_t>(text)) return *number;
  return text;
}

// Notes where a document begins, and nothing else.
class DocumentStart : public YAML::EventHandler {
 public:
  Position position;

  void OnDocumentStart(const YAML::Mark& mark) override { position = position_of(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// yaml-cpp takes a stray comma or bracket at the top for an empty document and stays before it:
// whoever asks for all documents asks forever. Two are enough to know.
void refuse_second_document(const std::string& text) {
  std::istringstream in(text);
  YAML::Parser parser(in);
  DocumentStart document;
  if (!parser.HandleNextDocument(document) || !parser.HandleNextDocument(document)) return;
  refuse("a second document, or a stray character,", document.position, "");
}

class Converter {
 public:
  Converter(PositionMap& positions, const Environment& environment, size_t layer)
      : positions_(positions), environment_(environment), layer_(layer) {}

  Json convert(const YAML::Node& node, const std::string& pointer, size_t depth) {
    const Position here = place_of(node);
    positions_.set(pointer, here);
    if (depth > kMaxDepth) refuse("nested too deep", here, pointer);
    if (++nodes_ > kMaxNodes) refuse("too many values", here, pointer);
    if (node.IsMap()) return map(node, pointer, depth);
    if (node.IsSequence()) return sequence(node, pointer, depth);
    if (!node.IsScalar()) return nullptr;
    return scalar(text_of(node, pointer), node.Tag() == "!");
  }

 private:
  Position place_of(const YAML::Node& node) const {
    Position out = position_of(node.Mark());
    out.layer = layer_;
    return out;
  }

  std::string text_of(const YAML::Node& node, const std::string& pointer) const {
    if (!environment_) return node.Scalar();
    auto text = interpolate(node.Scalar(), environment_);
    if (!text) refuse(text.error().message, place_of(node), pointer);
    return std::move(text).value();
  }

  Json map(const YAML::Node& node, const std::string& pointer, size_t depth) {
    Json out = Json::object();
    for (const auto& entry : node) {
      const YAML::Node& key = entry.first;
      if (!key.IsScalar()) refuse("a key must be a word", position_of(key.Mark()), pointer);
      const std::string at = wire::child(pointer, key.Scalar());
      if (out.contains(key.Scalar())) refuse("appears twice", position_of(key.Mark()), at);
      out[key.Scalar()] = convert(entry.second, at, depth + 1);
      positions_.set(at, place_of(key));
    }
    return out;
  }

  Json sequence(const YAML::Node& node, const std::string& pointer, size_t depth) {
    Json out = Json::array();
    for (const auto& value : node) {
      const std::string at = wire::child(pointer, std::to_string(out.size()));
      out.push_back(convert(value, at, depth + 1));
    }
    return out;
  }

  PositionMap& positions_;
  const Environment& environment_;
  const size_t layer_;
  size_t nodes_ = 0;
};

}  // namespace

Position PositionMap::find(std::string pointer) const {
  for (;;) {
    if (const auto found = known_.find(pointer); found != known_.end()) return found->second;
    const size_t slash = pointer.rfind('/');
    if (slash == std::string::npos) return {};
    pointer.resize(slash);
  }
}

void PositionMap::adopt(const std::string& here, const PositionMap& other,
                        const std::string& there) {
  for (auto each = other.known_.lower_bound(there); each != other.known_.end(); ++each) {
    if (!each->first.starts_with(there)) return;
    const std::string below = each->first.substr(there.size());
    if (below.empty() || below[0] == '/') known_[here + below] = each->second;
  }
}

Status parse_yaml(std::string_view text, Json& value, PositionMap& positions,
                  const Environment& environment, size_t layer) {
  if (text.size() > kMaxStateBytes) {
    return Error{"TooLarge", "larger than " + std::to_string(kMaxStateBytes) + " bytes"};
  }
  try {
    const std::string copy(text);
    refuse_second_document(copy);
    value = Converter(positions, environment, layer).convert(YAML::Load(copy), "", 0);
    return Done{};
  } catch (const BadYaml& bad) {
    return bad.error;
  } catch (const YAML::Exception& error) {
    return Error{"Syntax", error.msg + " at " + describe(position_of(error.mark))};
  }
}

std::string describe(Position position) {
  return "line " + std::to_string(position.line) + ", column " + std::to_string(position.column);
}

}  // namespace lb::sources
