// Decoding and encoding while the heap is used up: an error or an exception, never the end.
#include <gtest/gtest.h>

#include <new>

#include "common/model/json.hpp"
#include "common/model/state_json.hpp"
#include "tests/unit/dataplane/proxy/counting_new.hpp"

namespace lb {
namespace {

using proxy::FailingNew;

DesiredState three_services() {
  DesiredState out{{1, 1}, {}};
  std::vector<Service> services;
  for (const char* key : {"file/a", "file/b", "file/c"}) {
    Service service{key, {IpAddress::parse("10.0.0.1").value()}, {}, {}};
    ServicePort port;
    port.port = static_cast<uint16_t>(80 + services.size());
    port.backends.resize(4);
    for (auto& backend : port.backends) {
      backend.address = IpAddress::parse("10.0.0.2").value();
      backend.port = static_cast<uint16_t>(1000 + (&backend - port.backends.data()));
    }
    service.ports.push_back(std::move(port));
    services.push_back(std::move(service));
  }
  for (auto& service : services) out.services.push_back(std::move(service));
  return out;
}

// Each time with one allocation more before there are none left; the number of times it failed.
template <class Work>
int64_t run_short_of_memory(const Work& work) {
  for (int64_t number = 0; number < 100'000; ++number) {
    const FailingNew all_from_there(number, true);
    try {
      work();
      if (!FailingNew::has_failed()) return number;
    } catch (const std::bad_alloc&) {
      continue;
    }
  }
  return -1;
}

TEST(JsonMemory, DecodingAStateThatMemoryRunsOutForAtAnyPointThrowsAndNothingElse) {
  const std::string text = encode_state(three_services());
  EXPECT_GT(run_short_of_memory([&] { (void)decode_state(text); }), 100);
}

TEST(JsonMemory, EncodingAStateThatMemoryRunsOutForAtAnyPointThrowsAndNothingElse) {
  const DesiredState state = three_services();
  EXPECT_GT(run_short_of_memory([&] { (void)encode_state(state); }), 5);
}

TEST(JsonMemory, ATreeIsDestroyedWithoutMemory) {
  auto tree = nlohmann::json::parse(R"([[1, 2, {"a": [3, {"b": "c"}]}], {"d": {"e": []}}])");
  auto ordered = nlohmann::ordered_json::parse(R"({"a": [3, {"b": ["c"]}], "d": [[[]]]})");
  const uint64_t before = proxy::allocations();
  tree = nullptr;
  ordered = nullptr;
  EXPECT_EQ(proxy::allocations(), before);
}

TEST(JsonMemory, ATreeOfAnyDepthIsDestroyedWithoutDeepRecursion) {
  constexpr size_t kDepth = 1'000'000;
  auto lists = nlohmann::json::parse(std::string(kDepth, '[') + std::string(kDepth, ']'));
  lists = nullptr;
  nlohmann::ordered_json objects = 1;
  for (size_t i = 0; i < kDepth; ++i) {
    nlohmann::ordered_json outer;
    outer["a"] = std::move(objects);
    objects = std::move(outer);
  }
  objects = nullptr;
  EXPECT_TRUE(lists.is_null());
}

}  // namespace
}  // namespace lb
