#include "dataplane/state_store.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fstream>
#include <iterator>
#include <new>
#include <system_error>
#include <utility>

#include "common/model/state_json.hpp"
#include "common/net/write_file.hpp"

namespace lb::dataplane {
namespace fs = std::filesystem;
namespace {

constexpr int kPausePerCost = 200;
constexpr std::chrono::minutes kLongestPause{1};
constexpr std::chrono::milliseconds kMemoryAgain{100};  // at the end

std::chrono::nanoseconds cpu_of_this_thread() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

Error system_error(const std::string& code, const std::string& what, int number) {
  return {code, what + ": " + std::generic_category().message(number)};
}

Result<net::Fd> lock_folder(const fs::path& folder) {
  std::error_code failed;
  if (fs::create_directories(folder, failed)) {
    fs::permissions(folder, fs::perms::owner_all, failed);
  }
  if (failed) return system_error("StateDir", "cannot make " + folder.string(), failed.value());
  const fs::path path = StateStore::lock_file(folder);
  net::Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return system_error("StateDir", "cannot open " + path.string(), errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  const int number = errno;
  if (number != EWOULDBLOCK)
    return system_error("StateDir", "cannot lock " + path.string(), number);
  return Error{"StateDirLocked", "another data plane uses the state folder " + folder.string()};
}

}  // namespace

Result<std::unique_ptr<StateStore>> StateStore::open(Options options) {
  net::Fd held = std::move(options.lock);
  if (!held.valid()) {
    auto lock = lock_folder(options.folder);
    if (!lock.ok()) return lock.error();
    held = std::move(lock).value();
  }
  return std::unique_ptr<StateStore>(new StateStore(std::move(options), std::move(held)));
}

StateStore::StateStore(Options options, net::Fd lock)
    : options_(std::move(options)), lock_(std::move(lock)), thread_([this] { run(); }) {}

StateStore::~StateStore() { stop(); }

std::optional<DesiredState> StateStore::load() {
  std::error_code failed;
  if (!fs::exists(file(), failed) && !failed) return std::nullopt;
  std::ifstream in(file(), std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in.is_open() || in.bad()) {
    ++load_failures_;
    report({"StateUnreadable", "cannot read " + file().string()});
    return std::nullopt;
  }
  auto saved = decode_saved_state(text);
  if (!saved) {
    ++load_failures_;
    report({"StateCorrupt", file().string() + " is kept aside as .bad: " + saved.error().message,
            saved.error().pointer});
    fs::rename(file(), aside(), failed);
    return std::nullopt;
  }
  if (saved->passed_over.count > 0) tell_passed_over(*saved);
  return std::move(saved->state);
}

// The next save has no longer what was passed over.
void StateStore::tell_passed_over(const SavedState& saved) {
  ++load_failures_;
  std::error_code failed;
  fs::copy_file(file(), aside(), fs::copy_options::overwrite_existing, failed);
  const Error& first = saved.passed_over.first.front();
  report({"StatePartlyUsed",
          file().string() + (failed ? "" : ", kept as .bad as well") + ": " +
              std::to_string(saved.passed_over.count) +
              " things of it are not understood and passed over, " +
              std::to_string(saved.left_out.count) +
              " of them whole services; the first: " + first.message,
          first.pointer});
  for (const Error& each : saved.left_out.first) {
    report({"ServiceLeftOut", file().string() + ": " + each.message, each.pointer});
  }
}

void StateStore::save(std::shared_ptr<const DesiredState> state) {
  const std::lock_guard lock(mutex_);
  next_ = std::move(state);
  wake_.notify_one();
}

void StateStore::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void StateStore::abandon() {
  {
    const std::lock_guard lock(mutex_);
    next_ = nullptr;
    abandoned_ = true;
  }
  stop();
}

std::chrono::nanoseconds StateStore::pause_after(std::chrono::nanoseconds cost,
                                                 std::chrono::nanoseconds interval) {
  const auto fair = std::min<std::chrono::nanoseconds>(cost * kPausePerCost, kLongestPause);
  return std::max(interval, fair);
}

void StateStore::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || next_; });
    const auto before = cpu_of_this_thread();
    bool lacking = false;
    if (auto state = std::exchange(next_, nullptr)) {
      lock.unlock();
      lacking = !write_or_count(*state);
      lock.lock();
      // One that has come meanwhile is newer.
      if (lacking && !next_ && !abandoned_) next_ = std::move(state);
    }
    if (stopping_ && (!next_ || --last_tries_ == 0)) return;
    if (stopping_) {
      if (lacking) wake_.wait_for(lock, kMemoryAgain, [this] { return abandoned_; });
      continue;
    }
    const auto pause = pause_after(cpu_of_this_thread() - before, options_.interval);
    wake_.wait_for(lock, pause, [this] { return stopping_; });
  }
}

// False: for want of memory it is to be tried again.
bool StateStore::write_or_count(const DesiredState& state) {
  try {
    write(state);
    return true;
  } catch (const std::bad_alloc&) {
    ++save_failures_;
    return false;
  }
}

void StateStore::write(const DesiredState& state) {
  const auto saved = net::write_file(file().string(), encode_state(state));
  if (saved) {
    ++saves_;
    return;
  }
  ++save_failures_;
  report({"StateNotSaved", saved.error().message});
}

void StateStore::report(const Error& error) const {
  if (options_.report) options_.report(error);
}

}  // namespace lb::dataplane
