#include "tests/unit/dataplane/handoff/handoff_fixture.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <new>

#include "common/net/sockaddr.hpp"

namespace lb::handoff {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 10s;

net::Fd bound_socket(int type) {
  net::Fd fd(::socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  const net::SockAddr local = net::to_sockaddr(Endpoint{*IpAddress::parse("127.0.0.1"), 0});
  EXPECT_EQ(::bind(fd.get(), local.get(), local.length), 0);
  return fd;
}

}  // namespace

net::Fd listening_socket() {
  net::Fd fd = bound_socket(SOCK_STREAM);
  EXPECT_EQ(::listen(fd.get(), 64), 0);
  return fd;
}

net::Fd datagram_socket() { return bound_socket(SOCK_DGRAM); }

Endpoint endpoint_of(const net::Fd& socket) {
  net::SockAddr local;
  local.length = sizeof local.storage;
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&local.storage), &local.length);
  return net::to_endpoint(local);
}

bool can_connect(const Endpoint& where) {
  const net::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const net::SockAddr address = net::to_sockaddr(where);
  return ::connect(fd.get(), address.get(), address.length) == 0;
}

bool becomes_true(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

Error error_of(const Result<std::optional<Taken>>& taken) {
  if (!taken.ok()) return taken.error();
  return {taken->has_value() ? "taken" : "nobody", ""};
}

HandoffFixture::HandoffFixture() : work_(io_.get_executor()) {
  char name[] = "/tmp/empalme-handoff-XXXXXX";
  folder_ = ::mkdtemp(name);
  offer_.version = "old";
  offer_.workers = 2;
  offer_.counters = {{"accepted", 41}};
  offer_.state = "{}";
  control_ = std::thread([this] { run(); });
}

// As the program does it: who finds no memory ends, the rest goes on.
void HandoffFixture::run() {
  for (;;) {
    try {
      io_.run();
      return;
    } catch (const std::bad_alloc&) {
      ++memory_wants_;
    }
  }
}

HandoffFixture::~HandoffFixture() {
  stop_server();
  work_.reset();
  control_.join();
  std::filesystem::remove_all(folder_);
}

void HandoffFixture::on_control_thread(const std::function<void()>& work) {
  const auto done = std::make_shared<std::promise<void>>();
  asio::post(io_, [&work, done] {
    work();
    done->set_value();
  });
  done->get_future().wait();
}

void HandoffFixture::look() {
  on_control_thread([this] { server_->look(); });
}

bool HandoffFixture::busy() {
  bool busy = false;
  on_control_thread([&] { busy = server_->busy(); });
  return busy;
}

Callbacks HandoffFixture::callbacks() {
  Callbacks callbacks;
  callbacks.offer = [this]() -> Result<Offer> {
    if (no_offer_) return *no_offer_;
    return offer_;
  };
  callbacks.sockets = [this] { return open_ ? *open_ : offer_.listeners; };
  callbacks.released = [this](FinalReport& report) {
    given_.clear();
    report.counters = {{"accepted", 42}};
    ++releases_;
  };
  callbacks.report = [this](const Error& error) {
    const std::lock_guard lock(mutex_);
    reports_.push_back(error.code);
    wake_.notify_all();
  };
  return callbacks;
}

void HandoffFixture::start_server(HandoffTimes times) {
  on_control_thread([&] {
    auto server = HandoffServer::open(io_, path(), callbacks(), times);
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(*server);
  });
}

void HandoffFixture::stop_server() {
  on_control_thread([&] { server_.reset(); });
}

void HandoffFixture::give(net::Fd socket, Protocol protocol, unsigned worker) {
  offer_.listeners.push_back({{{endpoint_of(socket), protocol}, worker, false}, socket.get()});
  given_.push_back(std::move(socket));
}

void HandoffFixture::give_lock() {
  lock_.reset(::open((folder_ / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(::flock(lock_.get(), LOCK_EX | LOCK_NB), 0);
  offer_.lock = lock_.get();
}

Result<std::optional<Taken>> HandoffFixture::take() const {
  return take_over(path(), "new", kPatience);
}

Taken HandoffFixture::taken() const {
  auto taken = take();
  if (!taken.ok()) ADD_FAILURE() << taken.error().code << ": " << taken.error().message;
  return std::move(**taken);
}

BlockingChannel HandoffFixture::connected() const {
  auto channel = BlockingChannel::connect(path(), BlockingChannel::Clock::now() + kPatience);
  if (!channel.ok()) ADD_FAILURE() << channel.error().message;
  return std::move(**channel);
}

bool HandoffFixture::reported(const std::string& code) {
  std::unique_lock lock(mutex_);
  return wake_.wait_for(lock, kPatience, [&] {
    return std::find(reports_.begin(), reports_.end(), code) != reports_.end();
  });
}

HandoffCounts HandoffFixture::counts() {
  HandoffCounts counts;
  on_control_thread([&] { counts = server_->counts(); });
  return counts;
}

}  // namespace lb::handoff
