// What the relays hand to a balancing policy beside the configured candidates.
//
// Only what the policy of the listener reads is filled in: a listener with round robin none of
// whose backends is out takes config.candidates as they are. One object per engine, used on its
// worker's thread; the list that it returns is good until the next call.
#pragma once

#include <algorithm>
#include <vector>

#include "dataplane/balance/hash.hpp"
#include "dataplane/balance/picker.hpp"
#include "dataplane/proxy/listener_config.hpp"
#include "dataplane/proxy/udp_key.hpp"

namespace lb::proxy {

class PickInputs {
 public:
  explicit PickInputs(size_t worker_index)
      : random_(process_udp_seed().b + balance::mix(worker_index)) {}

  // The candidates with what is true at that time; bool tried(const BackendRecord&).
  template <typename Tried>
  std::vector<balance::Candidate>& candidates(const ListenerConfig& config, const Tried& tried,
                                              uint64_t now_ms) {
    present_.assign(config.candidates.begin(), config.candidates.end());
    const bool loads = balance::needs_connections(config.policy.balance);
    for (size_t i = 0; i < present_.size(); ++i) {
      BackendRecord& record = *config.records[i];
      present_[i].ejected = record.out();
      present_[i].health = record.health.load(std::memory_order_relaxed);
      present_[i].tried = tried(record);
      present_[i].share = record.share(now_ms, config.policy.slow_start_s);
      if (loads) present_[i].connections = load_of(record);
    }
    return present_;
  }

  // `client` is called where it matters who it is: IpAddress or optional of it.
  template <typename Client>
  balance::PickInput input(const ListenerConfig& config, const Client& client) {
    balance::PickInput out;
    if (balance::needs_random(config.policy.balance)) out.random = random();
    if (!config.groups.empty()) choose_group(config, client, out);
    if (!balance::needs_client_hash(config.policy.balance)) return out;
    const std::optional<IpAddress> address = client();
    if (address) out.client_hash = balance::hash_of(*address, process_udp_seed().a);
    return out;
  }

  // Leaves out groups without a weight, but for the one that the client is meant for.
  template <typename Client>
  static void leave_out_reserved(const ListenerConfig& config,
                                 std::vector<balance::Candidate>& candidates,
                                 const Client& client) {
    const auto& groups = config.groups;
    const bool any = std::any_of(groups.shares.begin(), groups.shares.end(),
                                 [](const balance::GroupShare& each) { return each.weight == 0; });
    if (!any) return;
    std::optional<IpAddress> address;
    if (groups.by_source()) address = client();
    const auto meant = address ? groups.meant_for(*address) : std::nullopt;
    for (auto& each : candidates) {
      if (groups.reserved(each.group) && meant != each.group) each.weight = 0;
    }
  }

  uint64_t random() { return balance::next_random(random_); }

 private:
  template <typename Client>
  static void choose_group(const ListenerConfig& config, const Client& client,
                           balance::PickInput& out) {
    const bool sticky = config.policy.sticky_groups;
    if (!sticky && !config.groups.by_source()) return;
    const std::optional<IpAddress> address = client();
    if (!address) return;
    out.group = config.groups.meant_for(*address);
    // Under no secret: other data planes, and this one when it has restarted, shall agree.
    if (sticky) out.sticky_hash = balance::hash_of(Endpoint{*address, 0});
  }

  static uint32_t load_of(const BackendRecord& record) {
    const uint64_t now = record.connections.load(std::memory_order_relaxed);
    return uint32_t(std::min<uint64_t>(now, UINT32_MAX));
  }

  uint64_t random_;
  std::vector<balance::Candidate> present_;
};

}  // namespace lb::proxy
