#include <algorithm>
#include <iterator>
#include <mutex>

#include "dataplane/proxy/worker_pool.hpp"

namespace lb::proxy {

void WorkerPool::flows(FlowFilter filter, std::function<void(std::vector<Flow>)> done) {
  struct Gathering {
    std::mutex mutex;
    std::vector<Flow> flows;
    std::atomic<bool> lost{false};  // some worker had no memory for its part
  };
  auto all = std::make_shared<Gathering>();
  const auto list = [all, filter](auto& engine) {
    try {
      std::vector<Flow> mine;
      engine.list_flows(filter, mine);
      const std::lock_guard lock(all->mutex);
      all->flows.insert(all->flows.end(), std::make_move_iterator(mine.begin()),
                        std::make_move_iterator(mine.end()));
    } catch (const std::bad_alloc&) {
      all->lost = true;
      throw;
    }
  };
  for (const auto& worker : workers_) {
    worker->post(list);
    worker->post_udp(list);
  }
  barrier([all, filter, done = std::move(done)] {
    if (all->lost) return;  // part of a list would pass for all of it
    auto& flows = all->flows;
    std::sort(flows.begin(), flows.end(),
              [](const Flow& a, const Flow& b) { return a.age_ms < b.age_ms; });
    if (flows.size() > filter.limit) flows.resize(filter.limit);
    done(std::move(flows));
  });
}

void WorkerPool::kill(uint64_t id, std::function<void(bool)> done) {
  auto found = std::make_shared<std::atomic<bool>>(false);
  const auto kill = [id, found](auto& engine) {
    if (engine.kill(id)) *found = true;
  };
  for (const auto& worker : workers_) {
    worker->post(kill);
    worker->post_udp(kill);
  }
  barrier([found, done = std::move(done)] { done(*found); });
}

}  // namespace lb::proxy
