// Configuration files, in YAML or JSON, laid over one another (a form feed parts them), with the
// environment put in, as far as the wire's state.
#include "controller/sources/file_document.hpp"

#include "common/model/state_json.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using lb::fuzz::must;

lb::DesiredState as_state(const std::vector<lb::Service>& services) { return {{1, 1}, services}; }

std::vector<lb::sources::FileLayer> layers(std::string_view text) {
  std::vector<lb::sources::FileLayer> out;
  for (size_t end = 0; end != text.npos && out.size() < 4; text.remove_prefix(end + 1)) {
    end = text.find('\f');
    out.push_back({std::to_string(out.size()), std::string(text.substr(0, end))});
    if (end == text.npos) break;
  }
  return out;
}

std::optional<std::string> environment(const std::string& name) {
  if (name == "PORT") return "8080";
  if (name == "LIST") return "10.0.0.0/8, 192.0.2.0/24";
  return std::nullopt;
}

void check_publishable(const std::vector<lb::Service>& services) {
  const auto state = as_state(services);
  const auto read = lb::decode_state(lb::encode_state(state));
  must(read.ok(), "a file that is taken can be published");
  must(*read == state, "what is published is what the file says");
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto document =
      lb::sources::parse_file_layers(layers(lb::fuzz::as_text(data, size)), environment);
  if (!document) {
    must(!document.error().code.empty(), "a refusal has a reason");
    return 0;
  }
  check_publishable(document->services);
  std::map<std::string, std::vector<lb::IpAddress>> answers;
  for (const auto& named : document->named) answers[named.host] = {lb::IpAddress::v4(0x0a000001)};
  auto services = document->services;
  lb::sources::add_resolved(services, document->named, answers);
  check_publishable(services);
  return 0;
}
