#include "common/model/saved_state.hpp"

#include <set>
#include <string>
#include <utility>

#include "common/model/json.hpp"
#include "common/model/json_reader.hpp"
#include "common/model/state_json.hpp"
#include "common/model/state_reader.hpp"

namespace lb {
namespace {

using Json = nlohmann::json;

class SavedReader {
 public:
  SavedState read(const Json& document) {
    wire::ObjectReader reader(document, "", &out_.passed_over);
    wire::read_schema(reader);
    wire::read_version(reader, "epoch", out_.state.version.epoch);
    wire::read_version(reader, "generation", out_.state.version.generation);
    reader.list("services", [this](const Json& value, const std::string& pointer) {
      read_service(value, pointer);
    });
    reader.finish();
    normalise(out_.state);
    if (out_.passed_over.count > 0) step_back(out_.state.version);
    return std::move(out_);
  }

 private:
  void read_service(const Json& value, const std::string& pointer) try {
    Service service = wire::read_service(value, pointer, &out_.passed_over);
    if (!keys_.insert(service.key).second) wire::refuse(pointer, "the same key twice");
    out_.state.services.push_back(std::move(service));
  } catch (const wire::Refused& refused) {
    out_.passed_over.add(refused.error);
    out_.left_out.add(refused.error);
  }

  // Never to (0, 0), which stands for nothing at all.
  static void step_back(Version& version) {
    if (version.generation > 1 || (version.generation == 1 && version.epoch > 0)) {
      --version.generation;
    } else if (version.epoch > 0) {
      version = {version.epoch - 1, wire::kMaxVersion};
    }
  }

  SavedState out_;
  std::set<std::string> keys_;
};

}  // namespace

Result<SavedState> decode_saved_state(std::string_view text) {
  try {
    return SavedReader().read(wire::parse_strict(text, kMaxStateBytes, kMaxDepth));
  } catch (const wire::Refused& refused) {
    return refused.error;
  }
}

}  // namespace lb
