// Objects of the Kubernetes API, as far as the desired state and the status that come of them.
//
// The input is a Service, an EndpointSlice and a Node, one a line; slices and AddressPools may
// follow.

#include "common/model/json.hpp"
#include "common/model/state_json.hpp"
#include "controller/core/pool_status.hpp"
#include "tests/fuzz/target.hpp"
#include "tests/unit/controller/core/builders.hpp"

namespace {

using namespace lb;
using namespace lb::plan;
using lb::fuzz::must;

constexpr int kRounds = 6;  // finalizer, address, acknowledgement, status; and teardown in reverse

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

template <class T>
void check_refusal(const Result<T>& object) {
  must(object.ok() || object.error().code == "InvalidObject", "a refusal has its code");
}

// The API server writes its fields in its own order and adds some that are not known here.
template <class Decode>
void check_tolerance(std::string_view text, Decode decode) {
  const auto first = decode(text);
  check_refusal(first);
  if (!first) return;
  auto object = nlohmann::json::parse(text);
  object["unknown"] = {{"apiVersion", 1}};
  const auto again = decode(object.dump(1));
  must(again.ok() && *again == *first, "order, blanks and unknown fields do not matter");
}

void check_published(const Service& service) {
  const DesiredState state{{1, 1}, {service}};
  const auto read = decode_state(encode_state(state));
  must(read.ok(), "what the plan wants can be published");
  must(*read == state, "what is published is what the plan wants");
}

class Cluster {
 public:
  Cluster(ServiceObject service, std::vector<EndpointSliceObject> slices,
          std::vector<NodeObject> nodes)
      : object_(std::move(service)), slices_(std::move(slices)), nodes_(std::move(nodes)) {
    world_.settings.claim_unclassed = true;
  }

  // Plans, publishes, acknowledges and writes: planning its own result must come to rest.
  void settle() {
    for (int round = 0; round < kRounds; ++round) {
      if (!step()) return;
    }
    must(!step(), "a plan of its own result asks for nothing");
  }

 private:
  bool step() {
    const SourceService source = from_kubernetes(object_, slices_, nodes_);
    world_.services[source.key] = source;
    const ServicePlan plan = plan_service(world_, allocator_, source.key);
    if (plan.desired) check_published(*plan.desired);
    const bool published = publish(source.key, plan.desired);
    if (plan.patch && !plan.patch->empty()) {
      must(nlohmann::json::accept(encode_service_patch(*plan.patch, "t")), "a patch is valid JSON");
      apply(*plan.patch, object_);
      return true;
    }
    return published;
  }

  // The one data plane holds what is wanted. Returns whether that is something new.
  bool publish(const std::string& key, const std::optional<Service>& wanted) {
    auto& held = world_.published;
    const auto found = held.find(key);
    const bool same = found == held.end() ? !wanted : wanted && *found->second.service == *wanted;
    held.erase(key);
    if (wanted) held[key].service = std::make_shared<const Service>(*wanted);
    return !same;
  }

  ServiceObject object_;
  const std::vector<EndpointSliceObject> slices_;
  const std::vector<NodeObject> nodes_;
  World world_;
  Allocator allocator_{
      {AddressRange::parse("192.0.2.0/28").value(), AddressRange::parse("2001:db8::/124").value()}};
};

void check_pool(std::string_view text) {
  const auto pool = decode_pool(text);
  if (!pool) return;
  Allocator allocator(std::vector<Pool>{pool.value()});
  for (const Family family : {Family::kV4, Family::kV6}) {
    Claim claim;
    claim.families = {family};
    for (const auto& each : allocator.allocate("a", claim).addresses) {
      must(pool.value().contains(each), "what a pool gives is in it");
    }
  }
  for (const auto& [name, status] : pool_statuses(allocator)) {
    must(status.assigned <= status.capacity && status.capacity <= kMaxCapacity, "counts are sound");
    must(nlohmann::json::accept(encode_pool_status(status)), "a status is valid JSON");
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto lines = lines_of(fuzz::as_text(data, size));
  std::vector<EndpointSliceObject> slices;
  std::vector<NodeObject> nodes;
  for (const auto line : lines) {
    check_tolerance(line, decode_service);
    check_tolerance(line, decode_endpoint_slice);
    check_tolerance(line, decode_node);
    check_tolerance(line, decode_namespace);
    check_tolerance(line, decode_pool);
    check_pool(line);
    auto slice = decode_endpoint_slice(line);
    if (slice) slices.push_back(std::move(slice).value());
    auto node = decode_node(line);
    if (node) nodes.push_back(std::move(node).value());
  }
  if (lines.empty()) return 0;
  auto service = decode_service(lines.front());
  if (service) Cluster(std::move(service).value(), std::move(slices), std::move(nodes)).settle();
  return 0;
}
