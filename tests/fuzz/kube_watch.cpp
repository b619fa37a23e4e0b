// What the API server says to a reflector: a list, as the first line, and the events of a watch.

#include "common/model/json.hpp"
#include "controller/core/objects.hpp"
#include "controller/core/parsed_objects.hpp"
#include "controller/kube/reflector.hpp"
#include "tests/fuzz/target.hpp"
#include "tests/unit/controller/kube/scripted_client.hpp"

namespace {

using namespace lb::kube;
using lb::fuzz::must;

// Decodes what it is given, as the source does.
class Sink : public ReflectorSink {
 public:
  void replaced(std::vector<Item> all) override {
    for (const auto& item : all) check(item);
  }
  void changed(Item item) override { check(item); }
  void removed(std::string, std::string) override {}
  void connection(std::optional<lb::Error>) override {}

 private:
  static void check(const Item& item) {
    const std::string text = text_of(item);
    if (text.empty()) return;  // it nests too deep
    must(nlohmann::json::accept(text), "an object is handed on as valid JSON");
    const auto service = lb::plan::decode_service(text);
    if (item.parsed) {
      const auto same = lb::plan::service_from(*item.parsed);
      must(same.ok() == service.ok(), "text and what was parsed are read alike");
    }
    if (!service) return;
    must(service->meta.name == item.name && service->meta.ns == item.ns, "an object has one name");
  }
};

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> out(1);
  for (const char c : text) {
    if (c == '\n') {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto lines = lines_of(lb::fuzz::as_text(data, size));
  Script script;
  script.add(200, lines.front());
  script.add_stream({lines.begin() + 1, lines.end()});
  Sink sink;
  Reflector reflector({"/api/v1/services",
                       [&script] { return std::make_unique<ScriptedClient>(script); },
                       {},
                       [](std::chrono::milliseconds) { return false; }},
                      sink);
  reflector.start();
  must(script.used_up(), "a reflector always asks again");
  reflector.stop();
  return 0;
}
