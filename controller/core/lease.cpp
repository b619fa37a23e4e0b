#include "controller/core/lease.hpp"

#include "common/model/json.hpp"
#include "common/model/json_lookup.hpp"

namespace lb::plan {
namespace {

using nlohmann::json;

constexpr uint64_t kTransitionBits = 20;
// An epoch is below 2^53, and one that is refused would end all publishing.
constexpr uint64_t kLatest = UINT32_MAX;          // in the year 2106
constexpr uint64_t kMostTransitions = INT32_MAX;  // coordination.k8s.io/v1

std::optional<unsigned> digits(std::string_view text, size_t at, size_t count) {
  unsigned out = 0;
  if (text.size() < at + count) return std::nullopt;
  for (const char c : text.substr(at, count)) {
    if (c < '0' || c > '9') return std::nullopt;
    out = out * 10 + static_cast<unsigned>(c - '0');
  }
  return out;
}

bool is_leap(unsigned year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

unsigned days_of_month(unsigned year, unsigned month) {
  constexpr unsigned kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && is_leap(year) ? 29 : kDays[month - 1];
}

const json& object_in(const json& parent, const char* name) {
  static const json kNone = json::object();
  const auto found = parent.find(name);
  return found == parent.end() || !found->is_object() ? kNone : *found;
}

}  // namespace

std::optional<uint64_t> unix_seconds(std::string_view text) {
  const auto year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
  const auto hour = digits(text, 11, 2), minute = digits(text, 14, 2), second = digits(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  if (*year < 1970 || *month < 1 || *month > 12 || *hour > 23 || *minute > 59 || *second > 60) {
    return std::nullopt;
  }
  if (*day < 1 || *day > days_of_month(*year, *month)) return std::nullopt;
  uint64_t days = *day - 1;
  for (unsigned y = 1970; y < *year; ++y) days += is_leap(y) ? 366 : 365;
  for (unsigned m = 1; m < *month; ++m) days += days_of_month(*year, m);
  return days * 86400 + *hour * 3600 + *minute * 60 + *second;
}

Result<Lease> decode_lease(std::string_view text) {
  const json root = json::parse(text, nullptr, false);
  if (root.is_discarded() || !root.is_object()) {
    return Error{"InvalidObject", "the Lease is no JSON object"};
  }
  const json& meta = object_in(root, "metadata");
  const json& spec = object_in(root, "spec");
  const auto created = unix_seconds(wire::text_or_empty(meta, "creationTimestamp"));
  if (!created) {
    return Error{"InvalidObject", "the Lease has no creation time", "/metadata/creationTimestamp"};
  }
  const uint64_t transitions = wire::number_or_zero(spec, "leaseTransitions");
  if (*created > kLatest || transitions > kMostTransitions) {
    return Error{"InvalidObject", "the Lease stands for an epoch that no document can carry"};
  }
  Lease out;
  out.resource_version = wire::text_or_empty(meta, "resourceVersion");
  out.created = *created;
  out.record = {wire::text_or_empty(spec, "holderIdentity"),
                static_cast<uint32_t>(wire::number_or_zero(spec, "leaseDurationSeconds")),
                transitions, wire::text_or_empty(spec, "acquireTime"),
                wire::text_or_empty(spec, "renewTime")};
  return out;
}

std::string encode_lease(const std::string& ns, const std::string& name,
                         const std::string& resource_version, const LeaseRecord& record) {
  nlohmann::ordered_json out{{"apiVersion", "coordination.k8s.io/v1"},
                             {"kind", "Lease"},
                             {"metadata", {{"namespace", ns}, {"name", name}}},
                             {"spec",
                              {{"holderIdentity", record.holder},
                               {"leaseDurationSeconds", record.duration_s},
                               {"leaseTransitions", record.transitions},
                               {"acquireTime", record.acquired},
                               {"renewTime", record.renewed}}}};
  if (!resource_version.empty()) out["metadata"]["resourceVersion"] = resource_version;
  return out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

uint64_t epoch_of(const Lease& lease) {
  return (lease.created << kTransitionBits) + lease.record.transitions;
}

}  // namespace lb::plan
