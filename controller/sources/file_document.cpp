#include "controller/sources/file_document.hpp"

#include "common/model/json.hpp"
#include "common/model/state_json.hpp"
#include "controller/sources/file_expander.hpp"
#include "controller/sources/layers.hpp"
#include "controller/sources/yaml_json.hpp"

namespace lb::sources {
namespace {

using Json = nlohmann::json;

// Layer upon layer, then what they make together.
class Layers {
 public:
  Layers(const std::vector<FileLayer>& layers, const Environment& environment)
      : layers_(layers), environment_(environment) {}

  Result<FileDocument> parse() {
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (const auto added = add(i); !added) return added.error();
    }
    FileDocument out;
    const auto expanded = expand(document_, positions_, layers_, out);
    if (!expanded) return placed(expanded.error(), positions_);
    const auto state = decode_state(document_.dump(-1, ' ', false, Json::error_handler_t::replace));
    if (!state) return placed(state.error(), positions_);
    out.services.assign(state->services.begin(), state->services.end());
    return out;
  }

 private:
  Status add(size_t index) {
    Json document;
    PositionMap positions;
    const auto parsed = parse_yaml(layers_[index].text, document, positions, environment_, index);
    if (!parsed) return of_layer(parsed.error(), index);
    const auto checked = check_layer(document);
    if (!checked) return placed(checked.error(), positions);
    if (index > 0) {
      const auto laid = lay_over({document_, positions_}, {document, positions});
      return laid ? laid : Status(placed(laid.error(), positions));
    }
    document_ = std::move(document);
    positions_ = std::move(positions);
    return Done{};
  }

  Error placed(Error error, const PositionMap& positions) const {
    const Position where = positions.find(error.pointer);
    error.message += " at " + describe(where);
    return of_layer(std::move(error), where.layer);
  }

  Error of_layer(Error error, size_t index) const {
    const std::string& path = layers_[index].path;
    if (!path.empty()) error.message = path + ": " + error.message;
    return error;
  }

  const std::vector<FileLayer>& layers_;
  const Environment& environment_;
  Json document_;
  PositionMap positions_;
};

}  // namespace

Result<FileDocument> parse_file_layers(const std::vector<FileLayer>& layers,
                                       const Environment& environment) {
  return Layers(layers, environment).parse();
}

Result<FileDocument> parse_file_document(std::string_view text) {
  return parse_file_layers({{"", std::string(text)}}, {});
}

}  // namespace lb::sources
