// One service made of all that ask to be its backends by their labels.
//
// Where they differ in addresses or policy of a port, those of the newest stand and a Problem says
// so. Ports that listen at different addresses become services of their own, KEY and KEY@tcp-PORT,
// since a service has one list of addresses for all of its ports. Pure; any thread; the same
// members in any order give the same services.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "controller/core/label_reader.hpp"
#include "controller/core/source_service.hpp"

namespace lb::plan {

struct LabelledMember {
  std::string subject;        // in problems: "container web"
  std::string name;           // of its backends
  std::vector<IpAddress> at;  // where it is reached; maybe nowhere yet
  BackendState state = BackendState::kReady;
  std::string node;
  std::string zone;
  std::vector<LabelledPort> ports;
  std::vector<Problem> problems;
  std::pair<uint64_t, std::string> age;  // the highest is the newest; unique
};

// Sorted by key. That of the lowest port has the key itself, and all problems; no members, none.
std::vector<SourceService> merge_labelled(const std::string& key,
                                          std::vector<LabelledMember> members);

}  // namespace lb::plan
