// Ten thousand histories of users, other controllers, crashes and late answers: nothing that others
// write is lost, no address is given twice, and everything comes to rest where a fresh start does.
#include <gmock/gmock.h>

#include <cstdlib>
#include <random>

#include "tests/support/seed.hpp"
#include "tests/unit/controller/core/builders.hpp"
#include "tests/unit/controller/rules/model_cluster.hpp"

namespace lb::plan {
namespace {

using test::Json;

// Of each of four parts. A sanitizer looks at memory, of which a tenth of them uses as much.
#ifdef EMPALME_SANITIZED
constexpr int kHistories = 250;
#else
constexpr int kHistories = 2'500;
#endif
constexpr int kSteps = 40;
constexpr const char* kNames[] = {"a", "b", "c", "d"};
constexpr const char* kPool = "192.0.2.10-192.0.2.13";

using test::seed;

class History {
 public:
  explicit History(uint64_t seed) : random_(seed) { begin(cluster_); }

  void step() {
    const int what = below(100);
    if (std::getenv("EMPALME_TRACE")) std::printf("(%d) ", what);
    if (what < 22) {
      controller_->hear_one();
    } else if (what < 44) {
      controller_->plan();
    } else if (what < 56) {
      controller_->publish_all();
      check_dataplane();
    } else if (what < 66) {
      controller_->acknowledge_one();
    } else if (what < 80) {
      deliver(below(10) != 0);
    } else if (what < 92) {
      somebody_writes();
    } else if (what < 95) {
      crash();
    } else if (what < 98) {
      old_write_arrives();
    } else {
      cluster_.compact();
    }
  }

  // What stands where, in one line: for whoever looks for the step that went wrong.
  std::string describe() {
    std::string out;
    for (const Json& object : cluster_.list(kServicesPath)) {
      const std::string key = kubernetes_key("default", object["metadata"]["name"]);
      const auto held = dataplane_.held.find(key);
      const auto seen = controller_->world().services.find(key);
      out += " " + object["metadata"]["name"].get<std::string>() + "[status " + address_of(object) +
             " wants " + object["spec"].value("loadBalancerIP", "") + " served " +
             (held == dataplane_.held.end() ? "" : held->second->addresses[0].to_string()) +
             " seen " +
             (seen == controller_->world().services.end() || seen->second.kube->ingress.empty()
                  ? ""
                  : seen->second.kube->ingress[0].ip) +
             (object["spec"]["type"] == "LoadBalancer" ? "" : " other type") +
             (object["metadata"].contains("deletionTimestamp") ? " deleting" : "") + " v" +
             object["metadata"]["resourceVersion"].get<std::string>() + "]";
    }
    return out;
  }

  // Nothing more happens but what the controller does itself.
  void rest() {
    while (!late_.empty()) old_write_arrives();
    for (int round = 0; round < 300 && controller_->busy(); ++round) {
      while (controller_->behind()) controller_->hear_one();
      controller_->plan();
      controller_->publish_all();
      check_dataplane();
      controller_->acknowledge_one();
      deliver(true);
    }
    EXPECT_FALSE(controller_->busy()) << "does not come to rest";
    if (std::getenv("EMPALME_TRACE")) std::printf("rest:%s\n", describe().c_str());
    check_nothing_lost();
    check_served();
    check_fresh_start();
  }

  size_t crashes = 0, conflicts = 0, writes = 0;

 private:
  int below(int limit) { return static_cast<int>(random_() % static_cast<uint64_t>(limit)); }
  std::string name() { return kNames[below(std::size(kNames))]; }

  void begin(const test::FakeCluster& seen) {
    controller_ = std::make_unique<ModelController>(cluster_, dataplane_, pool(kPool), ++epoch_);
    controller_->start(seen);
    snapshot_ = cluster_;
  }

  // What was on its way may still arrive. Whoever comes next may have seen less than there is, but
  // never less than what stood there when the one before it began.
  void crash() {
    ++crashes;
    conflicts += controller_->conflicts;
    if (below(2) == 0) {
      for (auto& patch : controller_->take_writes()) late_.push_back(std::move(patch));
    }
    const test::FakeCluster stale = snapshot_;
    begin(below(3) == 0 ? stale : cluster_);
  }

  void deliver(bool answered) {
    const auto done = controller_->deliver_one(answered);
    if (!done) return;
    ++writes;
    if (done->second == 200) check_statuses();
  }
  void old_write_arrives() {
    if (late_.empty()) return;
    const ServicePatch patch = std::move(late_.front());
    late_.pop_front();
    const auto body = Json::parse(encode_service_patch(patch, "2026-02-02T00:00:00Z"));
    const auto answer = cluster_.patch(kServicesPath, patch.ns, patch.name, body);
    if (answer.status == 200) check_statuses();
  }

  void somebody_writes() {
    const std::string who = name();
    if (cluster_.find(kServicesPath, "default", who) == nullptr) return create(who);
    switch (below(8)) {
      case 0:
        cluster_.remove(kServicesPath, "default", who);
        return;
      case 1:
        return edit(who, [&](Json& object) {
          object["spec"]["type"] =
              object["spec"]["type"] == "LoadBalancer" ? "ClusterIP" : "LoadBalancer";
        });
      case 2:
        return edit(who, [&](Json& object) { object["spec"]["ports"][0]["port"] = 80 + below(3); });
      case 3:
        return edit(who, [&](Json& object) { request(object); });
      case 4:  // another controller takes what is not its own
        return edit(who, [&](Json& object) {
          auto& list = object["metadata"]["finalizers"];
          if (list.is_array()) {
            list.erase(std::remove(list.begin(), list.end(), kStandardFinalizer), list.end());
          }
        });
      case 5:
        return pretend(who);
      default:
        return note(who);
    }
  }
  template <class Change>
  void edit(const std::string& who, Change change) {
    cluster_.edit(kServicesPath, "default", who, change);
  }
  void create(const std::string& who) {
    Json object{
        {"metadata",
         {{"namespace", "default"},
          {"name", who},
          {"creationTimestamp", "2026-01-0" + std::to_string(1 + below(9)) + "T00:00:00Z"}}},
        {"spec",
         {{"type", "LoadBalancer"},
          {"loadBalancerClass", kDefaultClass},
          {"ports", {{{"name", "p"}, {"port", 80}, {"protocol", "TCP"}}}}}}};
    if (below(4) == 0) request(object);
    notes_[who] = 0;
    cluster_.put(kServicesPath, std::move(object));
  }
  void request(Json& object) {
    if (below(3) == 0) {
      object["spec"].erase("loadBalancerIP");
    } else {
      object["spec"]["loadBalancerIP"] = "192.0.2.1" + std::to_string(below(4));
    }
  }
  // Somebody with the right to do so writes the address of another Service into a status.
  void pretend(const std::string& who) {
    edit(who, [&](Json& object) {
      if (object["spec"]["type"] != "LoadBalancer") return;
      const std::string address = "192.0.2.1" + std::to_string(below(4));
      object["status"]["loadBalancer"]["ingress"] = {{{"ip", address}, {"ipMode", "Proxy"}}};
      pretended_.insert(address);
    });
  }
  // A condition, an annotation and a finalizer of others.
  void note(const std::string& who) {
    edit(who, [&](Json& object) {
      if (object["metadata"].contains("deletionTimestamp")) return;
      const std::string count = std::to_string(++notes_[who]);
      object["metadata"]["annotations"]["others/count"] = count;
      auto& list = object["status"]["conditions"];
      if (!list.is_array()) list = Json::array();
      for (auto& each : list) {
        if (each["type"] == "others/Count") return void(each["message"] = count);
      }
      list.push_back({{"type", "others/Count"},
                      {"status", "True"},
                      {"reason", "Counted"},
                      {"message", count}});
    });
  }

  static std::string address_of(const Json& object) {
    const Json list = object.value("/status/loadBalancer/ingress"_json_pointer, Json::array());
    return list.is_array() && !list.empty() ? list[0].value("ip", "") : "";
  }

  // Whether the Service has no reason to leave its address to another.
  static bool stays(const Json& object, const std::string& address) {
    const std::string request = object["spec"].value("loadBalancerIP", "");
    return object["spec"]["type"] == "LoadBalancer" &&
           !object["metadata"].contains("deletionTimestamp") &&
           (request.empty() || request == address);
  }

  // Two statuses that are ours and stay so never name the same address, unless somebody else has
  // written it into one.
  void check_statuses() {
    std::map<std::string, std::string> owner;
    for (const Json& object : cluster_.list(kServicesPath)) {
      const std::string each = kubernetes_key("default", object["metadata"]["name"]);
      const std::string address = address_of(object);
      if (address.empty() || pretended_.contains(address) || !stays(object, address)) continue;
      const auto [held, added] = owner.try_emplace(address, each);
      EXPECT_TRUE(added) << address << " stands in the status of " << held->second << " and of "
                         << each;
    }
  }
  void check_dataplane() {
    std::map<std::string, std::string> owner;
    for (const auto& [key, service] : dataplane_.held) {
      for (const auto& address : service->addresses) {
        const auto [held, added] = owner.try_emplace(address.to_string(), key);
        EXPECT_TRUE(added) << address.to_string() << " is served for " << held->second << " and "
                           << key;
      }
    }
  }
  void check_nothing_lost() {
    for (const Json& object : cluster_.list(kServicesPath)) {
      const int count = notes_[object["metadata"]["name"]];
      if (count == 0) continue;
      EXPECT_EQ(object["metadata"]["annotations"]["others/count"], std::to_string(count));
      bool found = false;
      for (const Json& each : object["status"]["conditions"]) {
        found =
            found || (each["type"] == "others/Count" && each["message"] == std::to_string(count));
      }
      EXPECT_TRUE(found) << "somebody else's condition was lost";
    }
  }
  // Statuses and the data plane say the same; what is deleted or not ours (any more) is not served.
  void check_served() {
    size_t served = 0;
    for (const Json& object : cluster_.list(kServicesPath)) {
      EXPECT_FALSE(object["metadata"].contains("deletionTimestamp"))
          << "a finalizer stays for ever";
      const std::string key = kubernetes_key("default", object["metadata"]["name"]);
      const auto held = dataplane_.held.find(key);
      const bool is_held = held != dataplane_.held.end();
      served += is_held;
      EXPECT_EQ(address_of(object), is_held ? held->second->addresses[0].to_string() : "") << key;
      EXPECT_TRUE(object["spec"]["type"] == "LoadBalancer" || !is_held);
    }
    EXPECT_EQ(served, dataplane_.held.size());
  }
  void check_fresh_start() {
    const auto held = dataplane_.held;
    ModelController fresh(cluster_, dataplane_, pool(kPool), ++epoch_);
    fresh.start(cluster_);
    fresh.publish_all();
    EXPECT_EQ(fresh.wishes(), 0u) << "a fresh start would write something else";
    ASSERT_EQ(held.size(), dataplane_.held.size());
    for (const auto& [key, service] : held) {
      ASSERT_TRUE(dataplane_.held.contains(key));
      EXPECT_EQ(*service, *dataplane_.held.at(key));
    }
  }

  std::mt19937_64 random_;
  test::FakeCluster cluster_;
  test::FakeCluster snapshot_;
  ModelDataplane dataplane_;
  uint64_t epoch_ = 0;
  std::unique_ptr<ModelController> controller_;
  std::deque<ServicePatch> late_;
  std::set<std::string> pretended_;  // addresses
  std::map<std::string, int> notes_;
};

class Interleavings : public testing::TestWithParam<uint64_t> {};

TEST_P(Interleavings, LoseNoUpdateGiveNoAddressTwiceAndComeToRest) {
  std::printf("EMPALME_SEED=%llu\n", static_cast<unsigned long long>(seed()));
  size_t crashes = 0, conflicts = 0, writes = 0;
  for (int i = 0; i < kHistories; ++i) {
    SCOPED_TRACE("history " + std::to_string(i));
    History history(seed() + GetParam() * kHistories + static_cast<uint64_t>(i));
    for (int step = 0; step < kSteps; ++step) {
      history.step();
      if (std::getenv("EMPALME_TRACE")) std::printf("%d:%s\n", step, history.describe().c_str());
    }
    history.rest();
    crashes += history.crashes;
    conflicts += history.conflicts;
    writes += history.writes;
    ASSERT_FALSE(HasFailure());
  }
  std::printf("%zu crashes, %zu writes, %zu conflicts\n", crashes, writes, conflicts);
  EXPECT_GT(crashes, 0u);
  EXPECT_GT(conflicts, 0u);
}

INSTANTIATE_TEST_SUITE_P(TenThousand, Interleavings, testing::Range<uint64_t>(0, 4));

}  // namespace
}  // namespace lb::plan
