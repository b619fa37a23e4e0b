// Remembers when each service's report last changed, so that a reader may ask for what is new.
//
// Pure: no clock, socket or thread; owned by the control thread. A revision is opaque to readers
// and begins with the instance, so one of another life of this process is never mistaken for ours;
// an unknown one gets everything.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/model/state.hpp"
#include "dataplane/status_report.hpp"

namespace lb::dataplane {

// One answer of GET /v1/status.
struct StatusView {
  std::string rev;
  Version version;
  std::vector<Failure> failed;
  std::vector<ServiceReport> services;
  std::vector<std::string> removed;
  bool news = true;  // false: nothing changed since the revision that was asked for
};

class StatusBoard {
 public:
  explicit StatusBoard(std::string instance) : instance_(std::move(instance)) {}

  const std::string& instance() const { return instance_; }

  // Takes the present: everything that is held, whole.
  void update(Version version, std::vector<Failure> failed, std::vector<ServiceReport> services);
  // The same where only these have changed, at the cost of these; keys that are in neither stay.
  void update_some(Version version, std::vector<Failure> failed,
                   std::vector<ServiceReport> services, const std::vector<std::string>& gone);

  const std::vector<Failure>& failed() const { return failed_; }

  // Whether this revision is one of ours, so that it can be told what is new since.
  bool knows(const std::string& since) const { return known(since).has_value(); }
  bool has_news(const std::string& since) const;
  // nullopt: everything. Costs what has changed since.
  StatusView view(const std::optional<std::string>& since) const;

 private:
  struct Entry {
    ServiceReport report;
    uint64_t rev = 0;
  };

  bool note_header(Version version, std::vector<Failure> failed, uint64_t next);
  bool note(ServiceReport report, uint64_t next);
  bool forget(const std::string& key, uint64_t next);
  std::optional<uint64_t> known(const std::string& since) const;
  void forget_oldest();

  const std::string instance_;
  uint64_t rev_ = 0;
  uint64_t header_rev_ = 0;  // of version_ and failed_
  Version version_;
  std::vector<Failure> failed_;
  std::map<std::string, Entry> services_;
  std::set<std::pair<uint64_t, std::string>> by_rev_;  // of services_
  std::map<std::string, uint64_t> removed_;
  uint64_t oldest_ = 0;  // revisions below it have lost removals: such a reader gets everything
};

}  // namespace lb::dataplane
