// A prober against a target that plays along.
#pragma once

#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "dataplane/health/prober.hpp"
#include "tests/unit/dataplane/health/probe_fixture.hpp"

namespace lb::health {

using test::FakeTarget;

inline const std::string kOk = "HTTP/1.1 200 OK\r\n\r\n";
inline const std::string kBusy = "HTTP/1.1 503 Busy\r\n\r\n";

struct Change {
  Check check;
  Verdict verdict;
};

class ProberTest : public ProbeTest {
 protected:
  ProberTest() {
    RecordProperty("seed", std::to_string(seed_));
    begin({});
  }
  ~ProberTest() override {
    if (HasFailure()) printf("seed %u\n", seed_);
  }

  void begin(ProberOptions options) {
    if (!options.seed) options.seed = seed_;
    if (!options.on_change) {
      options.on_change = [this](const Check& check, const Verdict& verdict) {
        changes_.push_back({check, verdict});
      };
    }
    prober_.emplace(io_, std::move(options));
  }

  // What a service wants from now on.
  void set(const std::set<Check>& wanted, const std::string& service = "file/a") {
    for (const auto& each : wanted) prober_->want(service, each);
    for (const auto& each : std::exchange(held_[service], wanted)) {
      if (!wanted.contains(each)) prober_->forget(service, each);
    }
  }

  // So many checks that all differ, of a target that accepts and says nothing.
  std::set<Check> silent(int count, uint32_t timeout_ms) {
    target_.serve(test::stay_silent());
    HealthPolicy policy = http_policy();
    policy.timeout_ms = timeout_ms;
    std::set<Check> out;
    for (int i = 0; i < count; ++i) {
      policy.path = "/silent/" + std::to_string(i);
      out.insert(check_of(target_.endpoint(), policy));
    }
    return out;
  }

  bool run_until_health(const Check& check, Health health) {
    return run_until([&] { return prober_->verdict(check).health == health; });
  }

  bool run_until_probes(uint64_t more) {
    const uint64_t enough = prober_->counters().probes + more;
    return run_until([&] { return prober_->counters().probes >= enough; });
  }

  Check http_check(const std::string& path = "/") {
    return check_of(target_.endpoint(), http_policy(path));
  }

  const ProberCounters& counters() const { return prober_->counters(); }

  const uint32_t seed_ = std::random_device{}();
  FakeTarget target_{io_, test::answer({kOk})};
  std::vector<Change> changes_;
  std::map<std::string, std::set<Check>> held_;
  std::optional<Prober> prober_;
};

}  // namespace lb::health
