#include "dataplane/proxy/worker.hpp"

namespace lb::proxy {
namespace {

// Batches before timers and posted tasks get their turn.
constexpr int kBatchesPerTurn = 64;

}  // namespace

Worker::Worker(size_t index, EngineHooks hooks) : engine_(index, std::move(hooks)) {
  wait_for_events();
  thread_ = std::thread([this] { io_.run(); });
}

Worker::~Worker() {
  post([this](RelayEngine& engine) {
    engine.reset_everything();
    io_.stop();
  });
  thread_.join();
  epoll_.release();  // the engine owns the descriptor
}

void Worker::post(std::function<void(RelayEngine&)> task) {
  asio::post(io_, [this, task = std::move(task)] {
    task(engine_);
    keep_ticking();
    if (engine_.has_queued()) go_on();
  });
}

void Worker::after(std::chrono::milliseconds time, std::function<void()> task) {
  asio::post(io_, [this, time, task = std::move(task)] {
    auto timer = std::make_shared<asio::steady_timer>(io_, time);
    timer->async_wait([timer, task](const boost::system::error_code& error) {
      if (!error) task();
    });
  });
}

void Worker::readmit(std::shared_ptr<BackendRecord> backend, Readmission::Options options) {
  asio::post(io_, [this, backend = std::move(backend), options = std::move(options)] {
    Readmission::begin(io_, backend, options);
  });
}

void Worker::wait_for_events() {
  epoll_.async_wait(asio::posix::stream_descriptor::wait_read,
                    [this](const boost::system::error_code& error) {
                      if (!error) on_events();
                    });
}

void Worker::on_events() {
  bool busy = true;
  for (int batch = 0; batch < kBatchesPerTurn && busy; ++batch) busy = engine_.poll();
  keep_ticking();
  if (!busy) return wait_for_events();
  asio::post(io_, [this] { on_events(); });
}

// What was queued outside a batch of events: epoll says nothing of it.
void Worker::go_on() {
  asio::post(io_, [this] {
    engine_.poll();
    keep_ticking();
    if (engine_.has_queued()) go_on();
  });
}

// A wait that is replaced by an earlier one ends with an error and changes nothing.
void Worker::keep_ticking() {
  const uint64_t next = engine_.next_tick();
  if (next >= ticks_at_) return;
  ticks_at_ = next;
  timer_.expires_at(std::chrono::steady_clock::time_point(std::chrono::milliseconds(next)));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    ticks_at_ = UINT64_MAX;
    engine_.tick();
    keep_ticking();
    if (engine_.has_queued()) go_on();
  });
}

}  // namespace lb::proxy
