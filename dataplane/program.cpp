#include "dataplane/program.hpp"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>

#include "common/model/state_json.hpp"

namespace lb::dataplane {
namespace {

constexpr unsigned kStopGraceMs = 0;

// encode_error escapes whatever stands in a message, so a line is always one JSON object.
void report(const Error& error) { std::cerr << encode_error(error) << "\n"; }

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::optional<IpAddress> address_of(const sockaddr* address) {
  if (address == nullptr) return std::nullopt;
  if (address->sa_family == AF_INET) {
    return IpAddress::v4(ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr));
  }
  if (address->sa_family != AF_INET6) return std::nullopt;
  std::array<uint8_t, 16> bytes;
  std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr, 16);
  return IpAddress::v6(bytes);
}

OwnSockets own_sockets() {
  OwnSockets out;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return out;
  for (const ifaddrs* each = list; each != nullptr; each = each->ifa_next) {
    if (const auto address = address_of(each->ifa_addr)) out.local_hosts.insert(*address);
  }
  freeifaddrs(list);
  return out;
}

}  // namespace

int Program::run() {
  raise_descriptor_limit();
  std::signal(SIGPIPE, SIG_IGN);  // splice(2) to a closed socket has no MSG_NOSIGNAL
  if (const auto ready = prepare(); !ready) {
    report(ready.error());
    return 1;
  }
  auto state = first_state();
  if (!state) {
    report(state.error());
    return 1;
  }
  serve(std::move(state).value());
  wait_for_signal();
  io_.run();
  path_->stop(kStopGraceMs);
  if (store_) store_->stop();
  return 0;
}

Status Program::prepare() {
  if (config_.observe) {
    return Error{"Unsupported", "--observe is not built yet; leave it out"};
  }
  if (!config_.state_dir.empty()) {
    auto store = StateStore::open({.folder = config_.state_dir, .report = report});
    if (!store) return store.error();
    store_ = std::move(store).value();
  }
  path_ = proxy::make_data_path(
      {.workers = config_.workers, .freebind = false, .post = [this](std::function<void()> task) {
         asio::post(io_, std::move(task));
       }});
  coordinator_ = std::make_unique<Coordinator>(*path_, own_sockets(), [this](auto held) {
    if (store_) store_->save(std::move(held));
  });
  return Done{};
}

Result<DesiredState> Program::first_state() {
  if (config_.state_file.empty()) {
    return (store_ ? store_->load() : std::nullopt).value_or(DesiredState{});
  }
  std::ifstream file(config_.state_file, std::ios::binary);
  if (!file) return Error{"StateFile", config_.state_file + ": " + std::strerror(errno)};
  auto state = decode_state(std::string(std::istreambuf_iterator<char>(file), {}));
  if (state) return state;
  Error error = state.error();
  error.message = config_.state_file + ": " + error.message;
  return error;
}

void Program::serve(DesiredState state) {
  coordinator_->put(std::move(state), [](const Result<ApplyResult>& answer) {
    std::cerr << (answer ? encode_apply_result(*answer) : encode_error(answer.error())) << "\n";
  });
}

void Program::wait_for_signal() {
  signals_.async_wait([this](const boost::system::error_code& error, int) {
    if (!error) io_.stop();
  });
}

}  // namespace lb::dataplane
