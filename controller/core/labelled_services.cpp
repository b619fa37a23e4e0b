#include "controller/core/labelled_services.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace lb::plan {
namespace {

using Addresses = std::vector<IpAddress>;
using PortKey = std::pair<uint16_t, Protocol>;

class Merger {
 public:
  Merger(const std::string& key, std::vector<LabelledMember> members)
      : key_(key), members_(std::move(members)) {
    // What they come in is chance.
    std::ranges::sort(members_, [](const auto& a, const auto& b) { return b.age < a.age; });
  }

  std::vector<SourceService> run() {
    for (const auto& member : members_) add(member);
    return split();
  }

 private:
  struct Port {
    ServicePort port;
    Addresses addresses;
    std::string decided_by;  // whose labels stand
    std::set<Endpoint> known;
    bool differs = false;
  };

  void add(const LabelledMember& member) {
    problems_.insert(problems_.end(), member.problems.begin(), member.problems.end());
    for (const LabelledPort& labelled : member.ports) {
      Port& port = port_of(labelled, member);
      for (const IpAddress& address : member.at) add_backend(port, labelled, member, address);
    }
  }

  Port& port_of(const LabelledPort& labelled, const LabelledMember& member) {
    const auto [it, fresh] = ports_.try_emplace(PortKey{labelled.port, labelled.protocol});
    Port& out = it->second;
    if (fresh) {
      out.port.name = labelled.name();
      out.port.port = labelled.port;
      out.port.protocol = labelled.protocol;
      out.port.policy = labelled.policy;
      out.port.match = labelled.match;
      out.addresses = labelled.addresses;
      out.decided_by = member.name;
    } else if (out.addresses != labelled.addresses || !(out.port.policy == labelled.policy) ||
               out.port.match != labelled.match) {
      tell_difference(out, member);
    }
    return out;
  }

  void tell_difference(Port& port, const LabelledMember& member) {
    if (std::exchange(port.differs, true)) return;
    problems_.push_back({"LabelsDiffer",
                         member.subject + " and " + port.decided_by +
                             " differ in address or policy; the newest one's stand",
                         port.port.port, to_string(port.port.protocol)});
  }

  // The same twice would cost the whole document.
  void add_backend(Port& port, const LabelledPort& labelled, const LabelledMember& member,
                   const IpAddress& address) {
    const Endpoint at{address, labelled.target};
    if (!port.known.insert(at).second) {
      problems_.push_back(
          {"SameAddress", member.subject + " has the address of another: " + at.to_string()});
      return;
    }
    Backend out;
    out.address = address;
    out.port = labelled.target;
    out.weight = labelled.weight;
    out.state = member.state;
    out.name = member.name;
    out.node = member.node;
    out.zone = member.zone;
    port.port.backends.push_back(std::move(out));
  }

  // By address list.
  std::vector<SourceService> split() {
    std::vector<SourceService> out(1);
    out[0].key = key_;
    out[0].problems = std::move(problems_);
    for (auto& [number, port] : ports_) {
      if (out[0].ports.empty()) out[0].addresses = port.addresses;
      auto home = std::ranges::find(out, port.addresses, &SourceService::addresses);
      if (home == out.end()) {
        home = out.insert(out.end(), SourceService{});
        home->key = key_ + "@" + port.port.name;
        home->addresses = port.addresses;
      }
      std::ranges::sort(port.port.backends, {}, &Backend::endpoint);
      home->ports.push_back(std::move(port.port));
    }
    std::ranges::sort(out, {}, &SourceService::key);
    return out;
  }

  const std::string& key_;
  std::vector<LabelledMember> members_;
  std::map<PortKey, Port> ports_;
  std::vector<Problem> problems_;
};

}  // namespace

std::vector<SourceService> merge_labelled(const std::string& key,
                                          std::vector<LabelledMember> members) {
  if (members.empty()) return {};
  return Merger(key, std::move(members)).run();
}

}  // namespace lb::plan
