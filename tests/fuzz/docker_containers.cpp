// Containers and events of the Docker Engine API, as far as the services that are published of
// them.
//
// The input is the answer to GET /containers/json; events may follow, one a line.

#include <algorithm>

#include "common/model/state_json.hpp"
#include "controller/core/docker_services.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using namespace lb;
using namespace lb::plan;
using lb::fuzz::must;

std::vector<LabelledContainer> labelled_of(const std::vector<Container>& containers) {
  std::vector<LabelledContainer> out;
  for (const auto& container : containers) {
    if (auto each = labelled(container)) out.push_back(std::move(*each));
  }
  return out;
}

// One service that the wire refuses would cost all others their change.
void check_published(const std::vector<SourceService>& services) {
  DesiredState state{{1, 1}, {}};
  for (const auto& service : services) {
    must(service.key.starts_with("docker/"), "a key says whose it is");
    for (const auto& port : service.ports) {
      must(port.port != 0 && !service.addresses.empty(), "a port that is served is somewhere");
    }
    state.services.push_back({service.key, service.addresses, service.ports, service.policy});
  }
  normalise(state);
  const auto read = decode_state(encode_state(state));
  must(read.ok(), "what labels ask for can be published");
  must(*read == state, "what is published is what labels ask for");
}

void check_containers(std::string_view text) {
  const auto list = decode_containers(text);
  must(list.ok() || list.error().code == "InvalidObject", "a refusal has its code");
  if (!list) return;
  for (const auto& unread : list->unread) {
    must(unread.error.code == "InvalidObject", "a container that cannot be read says why");
  }
  auto containers = list->containers;
  // The daemon never gives an id twice; the source keeps containers by id.
  std::sort(containers.begin(), containers.end(), [](auto& a, auto& b) { return a.id < b.id; });
  containers.erase(std::unique(containers.begin(), containers.end(),
                               [](auto& a, auto& b) { return a.id == b.id; }),
                   containers.end());
  auto each = labelled_of(containers);
  const auto services = services_of(each);
  check_published(services);
  std::reverse(each.begin(), each.end());
  must(services_of(each) == services, "the order of containers does not matter");
}

void check_event(std::string_view line) {
  const auto event = decode_container_event(line);
  must(event.ok() || event.error().code == "InvalidObject", "a refusal has its code");
  if (event && *event) must(!(*event)->id.empty(), "an event is about somebody");
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text = fuzz::as_text(data, size);
  const size_t end = std::min(text.find('\n'), text.size());
  check_containers(text.substr(0, end));
  while (!text.empty()) {
    const size_t line = std::min(text.find('\n'), text.size());
    check_event(text.substr(0, line));
    text.remove_prefix(std::min(line + 1, text.size()));
  }
  return 0;
}
