// Ten thousand Services and their slices by somebody who may write both and means ill: whatever
// they ask for, nobody else's address is claimed and no connection goes where it must not. The seed
// is printed with each failure; EMPALME_SEED repeats a run.
#include <gmock/gmock.h>

#include <array>
#include <random>

#include "common/model/admission.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/controller/core/builders.hpp"

namespace lb::plan {
namespace {

constexpr int kVictims = 100;
constexpr int kAttackers = 10'000;
constexpr const char* kPool = "100.64.0.0/18";
const IpAddress kNode = ip("100.64.1.1");  // inside the pool
const Endpoint kAdmin{ip("192.168.0.1"), 8080};

using test::seed;

// Addresses that no host in a cluster's network has, or that everybody has.
constexpr std::array kSpecial = {"169.254.169.254",
                                 "127.0.0.1",
                                 "127.255.255.254",
                                 "0.0.0.0",
                                 "0.1.2.3",
                                 "224.0.0.1",
                                 "239.1.1.1",
                                 "255.255.255.255",
                                 "::",
                                 "::1",
                                 "fe80::1",
                                 "ff02::1",
                                 "::ffff:10.0.0.1",
                                 "::ffff:127.0.0.1",
                                 "::ffff:169.254.169.254"};

bool special(const IpAddress& address) {
  return std::any_of(kSpecial.begin(), kSpecial.end(),
                     [&](const char* each) { return ip(each) == address; }) ||
         refuse_address(address, AddressUse::kBackend, true);
}

class Adversary {
 public:
  explicit Adversary(bool strict) : strict_(strict) {
    allocator.set_blocked({kNode});
    for (int i = 0; i < kVictims; ++i) {
      auto victim = service("v" + std::to_string(i)).created("2025-01-01T00:00:00Z");
      victim.status(address_of_victim(i));
      world.services[victim.key()] = victim.source();
    }
    for (int i = 0; i < kAttackers; ++i) attack("a" + std::to_string(i));
  }

  // What a data plane is told, and what it makes of it.
  Admission publish() {
    DesiredState state;
    plans = plan_all(world, allocator);
    for (const auto& [key, planned] : plans) {
      if (planned.desired) state.services.push_back(*planned.desired);
    }
    normalise(state);
    return admit(state, {{kAdmin}, {kNode}});
  }

  World world;
  Allocator allocator{{pool(kPool)}};
  std::map<std::string, ServicePlan> plans;
  std::map<std::string, std::set<std::string>> refusals;    // by key: reasons to be given
  std::map<std::string, std::set<IpAddress>> bad_backends;  // by key, whoever refuses them
  Pods pods;

 private:
  int below(int end) { return static_cast<int>(random_() % static_cast<uint64_t>(end)); }
  static std::string address_of_victim(int i) { return "100.64.2." + std::to_string(i); }
  std::string any_special() { return kSpecial[static_cast<size_t>(below(kSpecial.size()))]; }

  // What is asked for, and the reason for which it is refused.
  std::pair<std::string, std::string> request() {
    switch (below(7)) {
      case 0:
        return {"203.0.113." + std::to_string(below(256)), "AddressNotInPool"};
      case 1:
        return {address_of_victim(below(kVictims)), "AddressTaken"};
      case 2:
        return {kNode.to_string(), "AddressOfNode"};
      case 3:
        return {"10.244.0." + std::to_string(below(256)), "AddressNotInPool"};
      case 4:
        return {"10.96.0.1", "AddressNotInPool"};
      case 5:
        return {any_special(), "AddressNotInPool"};
      default:
        return {below(2) == 0 ? "127.1" : "0x7f000001", "InvalidRequest"};
    }
  }

  void attack(const std::string& name) {
    auto service = ServiceBuilder(name).port(80);
    const auto [address, reason] = request();
    switch (below(5)) {
      case 0:
        service.requests(address);
        refusals[service.key()].insert(reason);
        break;
      case 1:
        service.annotated("empalme.io/addresses", address);
        refusals[service.key()].insert(reason);
        break;
      case 2:
        service.requests("100.64.3.3").annotated("empalme.io/addresses", "100.64.3.4");
        refusals[service.key()].insert("InvalidRequest");
        break;
      case 3:
        service.status(address);  // a status is anybody's to write
        break;
      default:
        service.object() = with_external_ip(name, address);
    }
    world.services[service.key()] = from_kubernetes(service.object(), {slice(name, service.key())},
                                                    {}, strict_ ? &pods : nullptr);
  }

  static ServiceObject with_external_ip(const std::string& name, const std::string& address) {
    return decode_service(R"({"metadata":{"namespace":"default","name":")" + name +
                          R"(","finalizers":[")" + kFinalizer + R"(",")" + kStandardFinalizer +
                          R"("]},"spec":{"type":"LoadBalancer","loadBalancerClass":")" +
                          kDefaultClass + R"(","externalIPs":[")" + address +
                          R"("],"ports":[{"name":"p80","port":80}]}})")
        .value();
  }

  EndpointSliceObject slice(const std::string& name, const std::string& key) {
    const std::string good = "10.244." + std::to_string(below(256)) + ".9";
    pods["default/pod-" + good] = {ip(good)};
    SliceBuilder out(name);
    out.port("p80", 8080).endpoint(good);
    const std::string bad = below(3) == 0   ? any_special()
                            : below(3) == 0 ? kAdmin.address.to_string()
                            : below(2) == 0 ? address_of_victim(below(kVictims))
                                            : "10.245.0." + std::to_string(below(256));
    const bool stranger = bad.starts_with("10.245.");  // a pod of another namespace
    if (!stranger || strict_) bad_backends[key].insert(ip(bad));
    out.endpoint(bad);
    if (!ip(bad).is_v4()) out.v6();
    EndpointSliceObject done = out;
    for (auto& endpoint : done.endpoints) endpoint.target_kind = "Pod";
    return done;
  }

  const bool strict_;
  std::mt19937_64 random_{seed()};
};

class AdversarialServices : public testing::TestWithParam<bool> {
 protected:
  AdversarialServices() : adversary_(GetParam()), admission_(adversary_.publish()) {}

  bool has_reason(const std::string& key, const std::string& reason) const {
    const auto& problems = adversary_.plans.at(key).problems;
    return std::any_of(problems.begin(), problems.end(),
                       [&](const Problem& each) { return each.reason == reason; });
  }
  std::set<std::string> failed_backends() const {
    std::set<std::string> out;
    for (const auto& each : admission_.failed) out.insert(each.key + " " + each.backend);
    return out;
  }

  const testing::ScopedTrace trace_{__FILE__, __LINE__, "EMPALME_SEED=" + std::to_string(seed())};
  Adversary adversary_;
  Admission admission_;
};

TEST_P(AdversarialServices, ClaimNoAddressThatIsNotTheirs) {
  std::set<IpAddress> taken;
  for (const auto& [key, planned] : adversary_.plans) {
    if (!planned.desired) continue;
    for (const auto& address : planned.desired->addresses) {
      ASSERT_TRUE(pool(kPool).contains(address)) << key << " " << address.to_string();
      ASSERT_NE(address, kNode) << key;
      ASSERT_FALSE(special(address)) << key;
      ASSERT_TRUE(taken.insert(address).second) << key << " " << address.to_string();
    }
  }
  for (int i = 0; i < kVictims; ++i) {
    const auto& desired = adversary_.plans.at("kubernetes/default/v" + std::to_string(i)).desired;
    ASSERT_TRUE(desired);
    EXPECT_EQ(desired->addresses[0].to_string(), "100.64.2." + std::to_string(i));
  }
}

TEST_P(AdversarialServices, AreToldWhyTheyAreRefused) {
  ASSERT_GT(adversary_.refusals.size(), size_t{kAttackers / 4});
  for (const auto& [key, reasons] : adversary_.refusals) {
    ASSERT_FALSE(adversary_.plans.at(key).desired) << key;
    for (const auto& reason : reasons) ASSERT_TRUE(has_reason(key, reason)) << key << " " << reason;
  }
}

TEST_P(AdversarialServices, ReachNoBackendThatIsNotTheirs) {
  size_t backends = 0;
  for (const Service& service : admission_.admitted.services) {
    const auto bad = adversary_.bad_backends.find(service.key);
    for (const auto& port : service.ports) {
      for (const auto& backend : port.backends) {
        ++backends;
        ASSERT_FALSE(special(backend.address)) << service.key;
        ASSERT_FALSE(pool(kPool).contains(backend.address)) << service.key;
        ASSERT_NE(backend.endpoint(), kAdmin) << service.key;
        ASSERT_TRUE(bad == adversary_.bad_backends.end() || !bad->second.contains(backend.address))
            << service.key;
      }
    }
  }
  EXPECT_GT(backends, size_t{kAttackers / 10}) << "those that are theirs are reached";
}

TEST_P(AdversarialServices, AreToldOfEachBackendThatIsRefused) {
  const auto failed = failed_backends();
  for (const auto& [key, addresses] : adversary_.bad_backends) {
    for (const auto& address : addresses) {
      if (!adversary_.plans.at(key).desired) continue;
      const bool told = has_reason(key, "AddressRefused") || has_reason(key, "EndpointNotAPod") ||
                        failed.contains(key + " " + Endpoint{address, 8080}.to_string());
      ASSERT_TRUE(told) << key << " " << address.to_string();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Endpoints, AdversarialServices, testing::Bool(),
                         [](const auto& each) { return each.param ? "Strict" : "Believed"; });

}  // namespace
}  // namespace lb::plan
