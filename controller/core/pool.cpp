#include "controller/core/pool.hpp"

#include <algorithm>

#include "controller/core/fields.hpp"
#include "controller/core/parsed_objects.hpp"

namespace lb::plan {
namespace {

bool has_item(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

// As the API has it, NotIn holds for an object without the label too.
bool holds(const Selector::Requirement& wanted, const Labels& labels) {
  const auto found = labels.find(wanted.key);
  const bool there = found != labels.end();
  switch (wanted.op) {
    case Selector::Operator::kIn:
      return there && has_item(wanted.values, found->second);
    case Selector::Operator::kNotIn:
      return !there || !has_item(wanted.values, found->second);
    case Selector::Operator::kExists:
      return there;
    case Selector::Operator::kDoesNotExist:
      return !there;
  }
  return false;
}

Selector::Requirement read_requirement(const Fields& fields) {
  using Operator = Selector::Operator;
  static const std::map<std::string, Operator> kOperators = {
      {"In", Operator::kIn},
      {"NotIn", Operator::kNotIn},
      {"Exists", Operator::kExists},
      {"DoesNotExist", Operator::kDoesNotExist}};
  const auto found = kOperators.find(fields.text("operator"));
  if (found == kOperators.end()) {
    Fields::refuse(fields.at("operator"), "In, NotIn, Exists or DoesNotExist");
  }
  return {fields.text("key"), found->second, fields.texts("values")};
}

std::optional<Selector> read_selector(const Fields& spec, const char* name) {
  if (!spec.given(name)) return std::nullopt;
  const Fields selector = spec.child(name);
  return Selector{selector.text_map("matchLabels"),
                  selector.list<Selector::Requirement>("matchExpressions", read_requirement)};
}

AddressRange read_range(const std::string& text, const std::string& path) {
  const auto range = AddressRange::parse(text);
  if (!range) Fields::refuse(path, "a range of addresses: " + range.error().message);
  if (const auto why = refuse_range(*range)) {
    Fields::refuse(path, "a range that may be used: " + *why);
  }
  return *range;
}

void read_addresses(const Fields& spec, Pool& out) {
  size_t index = 0;
  for (const auto& text : spec.texts("addresses")) {
    const std::string path = spec.at("addresses") + "/" + std::to_string(index++);
    const AddressRange range = read_range(text, path);
    out.ranges.push_back(range);
    // A pair or a single address has no network or broadcast address to leave out.
    const auto cidr =
        text.find('/') == std::string::npos ? std::nullopt : std::optional(Cidr::parse(text));
    const unsigned bits = range.first.is_v4() ? 32 : 128;
    if (cidr && *cidr && (*cidr)->prefix_length() + 1u < bits) {
      out.edges.insert({range.first, range.last});
    }
  }
}

Pool read_pool(const Fields& root) {
  const ObjectMeta meta = read_meta(root.child("metadata"));
  const Fields spec = root.child("spec");
  Pool out;
  out.name = meta.name;
  out.creation_time = meta.creation_time;
  out.deleting = meta.deleting();
  read_addresses(spec, out);
  out.namespaces = spec.texts("namespaces");
  out.namespace_selector = read_selector(spec, "namespaceSelector");
  out.service_selector = read_selector(spec, "serviceSelector");
  out.priority = spec.whole("priority").value_or(0);
  out.auto_assign = spec.flag("autoAssign").value_or(true);
  out.avoid_first_last = spec.flag("avoidFirstLast").value_or(true);
  out.reuse_quarantine_s =
      spec.number("reuseQuarantineSeconds", 86'400).value_or(kDefaultQuarantineS);
  return out;
}

}  // namespace

bool Selector::matches(const Labels& of) const {
  const bool same = std::all_of(labels.begin(), labels.end(), [&](const auto& wanted) {
    const auto found = of.find(wanted.first);
    return found != of.end() && found->second == wanted.second;
  });
  return same && std::all_of(expressions.begin(), expressions.end(),
                             [&](const auto& wanted) { return holds(wanted, of); });
}

bool Pool::contains(const IpAddress& address) const {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const auto& range) { return range.contains(address); });
}

bool Pool::has(Family family) const {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const auto& range) { return range.first.family() == family; });
}

bool Pool::admits(const Applicant& who) const {
  if (deleting || (!who.pool.empty() && who.pool != name)) return false;
  if (service_selector && !service_selector->matches(who.labels)) return false;
  if (namespaces.empty() && !namespace_selector) return true;
  return has_item(namespaces, who.ns) ||
         (namespace_selector && namespace_selector->matches(who.ns_labels));
}

bool Pool::avoids(const IpAddress& address) const {
  if (!avoid_first_last) return false;
  if (edges.contains(address)) return true;
  const bool alone = std::any_of(ranges.begin(), ranges.end(), [&](const auto& range) {
    return range.first == address && range.last == address;
  });
  const uint8_t last = address.bytes()[3];
  return address.is_v4() && (last == 0 || last == 255) && !alone;
}

// A range that has neither end in a refused network has all of it or nothing.
std::optional<std::string> refuse_range(const AddressRange& range) {
  std::vector<IpAddress> some = {range.first, range.last};
  for (const char* first :
       {"127.0.0.0", "169.254.0.0", "224.0.0.0", "::1", "::ffff:0:0", "fe80::", "ff00::"}) {
    const auto address = IpAddress::parse(first).value();
    if (range.contains(address)) some.push_back(address);
  }
  for (const auto& address : some) {
    if (auto why = refuse_address(address, AddressUse::kListener, true)) return why;
  }
  return std::nullopt;
}

Pool flags_pool(std::vector<AddressRange> ranges) {
  Pool out;
  out.name = kFlagsPool;
  out.ranges = std::move(ranges);
  return out;
}

Result<Pool> decode_pool(std::string_view json) { return decode_fields<Pool>(json, read_pool); }
Result<Pool> pool_from(const nlohmann::json& parsed) {
  return decode_fields<Pool>(parsed, read_pool);
}

}  // namespace lb::plan
