#include "dataplane/proxy/chores.hpp"

#include <algorithm>
#include <new>

namespace lb::proxy {
namespace {

// Tries at a time: with backends that never answer, each holds a descriptor as long as it waits.
constexpr int kPartOfDescriptors = 16, kFewest = 16, kMost = 1024;

unsigned most_at_once(int descriptor_line) {
  return static_cast<unsigned>(std::clamp(descriptor_line / kPartOfDescriptors, kFewest, kMost));
}

}  // namespace

Chores::Chores(int descriptor_line, Beat beat)
    : beat_(std::move(beat)),
      next_beat_(std::chrono::steady_clock::now() + beat_.every),
      readmissions_{.descriptor_line = descriptor_line,
                    .most_at_once = most_at_once(descriptor_line)},
      thread_([this] { run(); }) {}

Chores::~Chores() {
  io_.stop();
  thread_.join();
  Readmission::let_go(readmissions_);
}

void Chores::run() {
  while (!io_.stopped()) {
    try {
      run_until_beat();
    } catch (const std::bad_alloc&) {
      ++memory_wants_;
    }
  }
}

void Chores::run_until_beat() {
  if (!beat_.task) {
    io_.run();
    return;
  }
  io_.run_until(next_beat_);
  const auto now = std::chrono::steady_clock::now();
  if (io_.stopped() || now < next_beat_) return;
  next_beat_ = now + beat_.every;
  beat_.task();
}

void Chores::after(std::chrono::milliseconds time, std::function<void()> task) {
  asio::post(io_, [this, time, task = std::move(task)] {
    auto timer = std::make_shared<asio::steady_timer>(io_, time);
    timer->async_wait([timer, task](const boost::system::error_code& error) {
      if (!error) task();
    });
  });
}

void Chores::readmit(std::shared_ptr<BackendRecord> backend, Readmission::Options options) {
  asio::post(io_, [this, backend = std::move(backend), options = std::move(options)] {
    Readmission::begin(io_, readmissions_, backend, options);
  });
}

}  // namespace lb::proxy
