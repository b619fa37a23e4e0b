// Answers of Consul's health and catalogue endpoints, as far as the services that are published of
// them.
//
// The input is the answer about the service "web"; a second line is what it is asked the next time,
// and is the catalogue too.

#include <algorithm>

#include "common/model/state_json.hpp"
#include "controller/core/consul_services.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using namespace lb;
using namespace lb::plan;
using lb::fuzz::must;
using Instances = std::vector<ConsulInstance>;

// One service that the wire refuses would cost all others their change.
void check_published(const std::vector<SourceService>& services) {
  DesiredState state{{1, 1}, {}};
  for (const auto& service : services) {
    must(service.key.starts_with("consul/web"), "a key says whose it is");
    for (const auto& port : service.ports) {
      must(port.port != 0 && !service.addresses.empty(), "a port that is served is somewhere");
    }
    state.services.push_back({service.key, service.addresses, service.ports, service.policy});
  }
  normalise(state);
  const auto read = decode_state(encode_state(state));
  must(read.ok(), "what tags ask for can be published");
  must(*read == state, "what is published is what tags ask for");
}

// An agent never gives an id twice on a node.
Instances instances_of(std::string_view text) {
  const auto read = decode_consul_instances(text);
  must(read.ok() || read.error().code == "InvalidObject", "a refusal has its code");
  if (!read) return {};
  for (const auto& unread : read->unread) {
    must(unread.error.code == "InvalidObject", "an instance that cannot be read says why");
  }
  Instances out = read->instances;
  std::sort(out.begin(), out.end(), [](auto& a, auto& b) { return a.key() < b.key(); });
  out.erase(
      std::unique(out.begin(), out.end(), [](auto& a, auto& b) { return a.key() == b.key(); }),
      out.end());
  return out;
}

void check_instances(Instances instances) {
  const auto services = consul_services("web", instances);
  check_published(services);
  std::reverse(instances.begin(), instances.end());
  must(consul_services("web", instances) == services, "the order of instances does not matter");
}

void check_doubt(const Instances& before, const Instances& now) {
  const auto believed = without_losses(before, now);
  must(believed.size() >= std::max(before.size(), now.size()), "nobody is lost in doubt");
  for (const auto& each : now) {
    const auto same = [&](const ConsulInstance& other) { return other.key() == each.key(); };
    must(std::count_if(believed.begin(), believed.end(), same) == 1, "nor comes twice");
  }
  check_instances(believed);
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::as_text(data, size);
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view rest = text.substr(std::min(end + 1, text.size()));
  const Instances before = instances_of(text.substr(0, end));
  check_instances(before);
  check_doubt(before, instances_of(rest));
  const auto names = decode_consul_services(rest);
  must(names.ok() || names.error().code == "InvalidObject", "a refusal has its code");
  return 0;
}
