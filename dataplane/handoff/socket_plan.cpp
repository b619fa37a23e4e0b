#include "dataplane/handoff/socket_plan.hpp"

namespace lb::handoff {
namespace {

// The first worker with the fewest sockets, looked for from `start` on.
unsigned least_loaded(const SocketPlan& plan, size_t start) {
  const size_t workers = plan.owned.size();
  size_t best = start % workers;
  for (size_t step = 1; step < workers; ++step) {
    const size_t worker = (start + step) % workers;
    if (plan.owned[worker].size() < plan.owned[best].size()) best = worker;
  }
  return static_cast<unsigned>(best);
}

bool stays(const SocketPlan& plan, const SocketLabel& label) {
  return label.worker < plan.owned.size() && plan.owned[label.worker].empty();
}

void fill_may_open(SocketPlan& plan) {
  for (unsigned worker = 0; worker < plan.owned.size(); ++worker) {
    if (plan.owned[worker].empty()) plan.may_open.push_back(worker);
  }
}

}  // namespace

std::map<proxy::ListenerId, SocketPlan> plan_sockets(std::span<const SocketLabel> labels,
                                                     unsigned workers) {
  std::map<proxy::ListenerId, SocketPlan> plans;
  std::map<proxy::ListenerId, bool> shared;
  std::vector<size_t> moving;
  for (size_t i = 0; i < labels.size(); ++i) {
    SocketPlan& plan = plans[labels[i].listener];
    plan.owned.resize(workers);
    shared[labels[i].listener] |= labels[i].shared;
    if (stays(plan, labels[i])) {
      plan.owned[labels[i].worker].push_back(i);
    } else {
      moving.push_back(i);
    }
  }
  for (const size_t i : moving) {
    SocketPlan& plan = plans[labels[i].listener];
    plan.owned[least_loaded(plan, labels[i].listener.at.port)].push_back(i);
  }
  for (auto& [listener, plan] : plans) {
    if (!shared[listener]) fill_may_open(plan);
  }
  return plans;
}

}  // namespace lb::handoff
