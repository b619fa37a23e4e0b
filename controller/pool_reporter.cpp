#include "controller/pool_reporter.hpp"

#include <algorithm>

#include "common/ops/log.hpp"
#include "controller/kube/api_requests.hpp"

namespace lb::controller {

PoolReporter::PoolReporter(asio::io_context& io, Options options, kube::ApiWriter& writer)
    : io_(io), options_(std::move(options)), writer_(writer), timer_(io) {}

void PoolReporter::start() { tick(); }

void PoolReporter::stop() {
  stopped_ = true;
  timer_.cancel();
}

void PoolReporter::tick() {
  report();
  timer_.expires_after(options_.interval);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error && !stopped_) tick();
  });
}

void PoolReporter::report() {
  const auto now = options_.statuses();
  std::erase_if(written_, [&](const auto& each) { return !now.contains(each.first); });
  for (const auto& [name, status] : now) {
    Written& last = written_[name];
    if (Clock::now() < last.due || (last.known && last.status == status)) continue;
    last.status = status;
    last.known = true;
    write(name, status);
  }
}

void PoolReporter::write(const std::string& name, const plan::PoolStatus& status) {
  ++counters_.writes;
  writer_.push({kube::kAddressPools + ("/" + name), kube::patch_pool_status(name, status),
                [this, name, status](const net::HttpResponse& response) {
                  asio::post(io_, [this, name, status, answer = response.status,
                                   body = response.body] { written(name, status, answer, body); });
                }});
}

void PoolReporter::written(const std::string& name, const plan::PoolStatus& status, int answer,
                           const std::string& body) {
  const auto found = written_.find(name);
  // A pool that is gone has no status any more, and needs none.
  if (stopped_ || found == written_.end()) return;
  Written& last = found->second;
  if (answer == 200) {
    last.refusals = 0;
    return;
  }
  ++counters_.failures;
  constexpr unsigned kDoublings = 6;
  last.due = Clock::now() + options_.interval * (1u << std::min(last.refusals++, kDoublings));
  if (last.status == status) last.known = false;
  // Said once: the first of a row tells what is wrong with all.
  if (last.refusals > 1) return;
  ops::log(ops::Level::kWarning, "an AddressPool's status could not be written: " + body,
           {{"pool", name}, {"status", static_cast<uint64_t>(answer)}});
}

}  // namespace lb::controller
