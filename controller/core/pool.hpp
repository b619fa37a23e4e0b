// Pool: a set of addresses and who may have them, as an AddressPool object or --pool says.
//
// Pure values; any thread. decode_pool() is tolerant as the other decoders are: an unknown field is
// ignored, a value that cannot be used is an Error{"InvalidObject"} with its pointer. Selectors
// follow meta/v1 LabelSelector. Times in seconds.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/address.hpp"
#include "common/model/result.hpp"

namespace lb::plan {

using Labels = std::map<std::string, std::string>;

inline constexpr uint32_t kDefaultQuarantineS = 60;
// The name of what --pool gives.
inline constexpr char kFlagsPool[] = "flags";

struct Selector {
  enum class Operator : uint8_t { kIn, kNotIn, kExists, kDoesNotExist };
  struct Requirement {
    std::string key;
    Operator op = Operator::kExists;
    std::vector<std::string> values;

    bool operator==(const Requirement&) const = default;
  };

  Labels labels;
  std::vector<Requirement> expressions;

  // All of it must hold; an empty selector matches everything.
  bool matches(const Labels& of) const;
  bool operator==(const Selector&) const = default;
};

// Who asks, as far as pools look at it.
struct Applicant {
  std::string ns;
  Labels ns_labels;
  Labels labels;
  std::string pool;  // the one it names; empty: any

  bool operator==(const Applicant&) const = default;
};

struct Pool {
  std::string name;
  std::string creation_time;  // RFC 3339; empty: older than all
  std::vector<AddressRange> ranges;
  std::set<IpAddress> edges;  // first and last of each CIDR
  std::vector<std::string> namespaces;
  std::optional<Selector> namespace_selector;  // beside `namespaces`: either will do
  std::optional<Selector> service_selector;
  int32_t priority = 0;  // the highest is asked first
  bool auto_assign = true;
  bool avoid_first_last = true;  // no .0, .255 or edge of a CIDR unless it is asked for
  uint32_t reuse_quarantine_s = kDefaultQuarantineS;
  bool deleting = false;  // gives nothing any more
  std::string fault;      // why the object cannot be read as it is now: the rest is as it was

  bool contains(const IpAddress& address) const;
  bool has(Family family) const;
  bool admits(const Applicant& who) const;
  // Whether the address is left out where nobody asks for it by number.
  bool avoids(const IpAddress& address) const;
  bool operator==(const Pool&) const = default;
};

// Why no address of the range may be given: one of them is refused. nullopt: it may be used.
std::optional<std::string> refuse_range(const AddressRange& range);

// The pool of the ranges that --pool names.
Pool flags_pool(std::vector<AddressRange> ranges);

Result<Pool> decode_pool(std::string_view json);

}  // namespace lb::plan
