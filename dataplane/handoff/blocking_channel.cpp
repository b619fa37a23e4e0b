#include "dataplane/handoff/blocking_channel.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <system_error>
#include <thread>
#include <utility>

#include "common/net/sockaddr.hpp"
#include "dataplane/handoff/descriptor_passing.hpp"
#include "dataplane/handoff/handoff_message.hpp"
#include "dataplane/handoff/peer_check.hpp"

namespace lb::handoff {
namespace {

using namespace std::chrono_literals;

constexpr size_t kMaxPath = 107;  // sun_path with its terminating zero
constexpr size_t kChunk = size_t{1} << 20;
constexpr auto kConnectAgain = 20ms;

Error socket_error(const std::string& what, int number) {
  return {"HandoffSocket", what + ": " + std::generic_category().message(number)};
}

bool would_block(int number) { return number == EAGAIN || number == EWOULDBLOCK; }

bool nobody_there(int number) { return number == ENOENT || number == ECONNREFUSED; }

}  // namespace

BlockingChannel::BlockingChannel(net::Fd socket, Clock::time_point deadline)
    : socket_(std::move(socket)), deadline_(deadline) {}

Result<std::optional<BlockingChannel>> BlockingChannel::connect(const std::string& path,
                                                                Clock::time_point deadline) {
  if (path.empty() || path.size() > kMaxPath) {
    return Error{"HandoffSocket", "the path '" + path + "' is no name for a socket"};
  }
  const net::SockAddr address = net::to_sockaddr(net::UnixPath{path});
  for (;;) {
    net::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) return socket_error("cannot make a socket", errno);
    if (::connect(fd.get(), address.get(), address.length) == 0) {
      if (const auto peer = check_peer(fd.get()); !peer) return peer.error();
      return std::optional(BlockingChannel(std::move(fd), deadline));
    }
    const int number = errno;
    if (nobody_there(number)) return std::optional<BlockingChannel>{};
    if (!would_block(number) && number != EINTR)
      return socket_error("cannot reach " + path, number);
    if (Clock::now() >= deadline) return Error{"HandoffTimeout", path + " takes no connections"};
    // poll(2) does not tell when a unix socket's queue has room again.
    std::this_thread::sleep_for(kConnectAgain);
  }
}

Status BlockingChannel::wait_for(short events) const {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
    if (left <= 0ms) return Error{"HandoffTimeout", "the other process does not answer in time"};
    pollfd entry{socket_.get(), events, 0};
    const auto limit = std::min<std::chrono::milliseconds::rep>(left.count(), 60'000);
    const int ready = ::poll(&entry, 1, static_cast<int>(limit));
    if (ready > 0) return Done{};
    if (ready < 0 && errno != EINTR) return socket_error("cannot wait", errno);
  }
}

Status BlockingChannel::send_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n > 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (would_block(errno)) {
      if (const auto ready = wait_for(POLLOUT); !ready) return ready;
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return Error{"PeerGone", "the other process is gone"};
    } else if (errno != EINTR) {
      return socket_error("cannot send", errno);
    }
  }
  return Done{};
}

Status BlockingChannel::receive_all(char* into, size_t length) {
  while (length > 0) {
    const ssize_t n = ::recv(socket_.get(), into, length, 0);
    if (n > 0) {
      into += n;
      length -= static_cast<size_t>(n);
    } else if (n == 0 || errno == ECONNRESET) {
      return Error{"PeerGone", "the other process has ended the handoff"};
    } else if (would_block(errno)) {
      if (const auto ready = wait_for(POLLIN); !ready) return ready;
    } else if (errno != EINTR) {
      return socket_error("cannot receive", errno);
    }
  }
  return Done{};
}

Status BlockingChannel::send_document(std::string_view text) {
  const LengthBytes length = encode_length(text.size());
  const auto* bytes = reinterpret_cast<const char*>(length.data());
  if (const auto sent = send_all({bytes, length.size()}); !sent) return sent;
  return send_all(text);
}

Result<std::string> BlockingChannel::receive_document(size_t limit) {
  LengthBytes bytes{};
  const auto got = receive_all(reinterpret_cast<char*>(bytes.data()), bytes.size());
  if (!got.ok()) return got.error();
  const auto length = decode_length(bytes, limit);
  if (!length.ok()) return length.error();
  std::string text;
  // Grown as it comes: a length alone must not cost memory.
  while (text.size() < *length) {
    const size_t before = text.size();
    text.resize(std::min(*length, before + kChunk));
    const auto part = receive_all(text.data() + before, text.size() - before);
    if (!part.ok()) return part.error();
  }
  return text;
}

Result<std::vector<net::Fd>> BlockingChannel::receive_descriptors(size_t count) {
  std::vector<net::Fd> all;
  all.reserve(count);
  while (all.size() < count) {
    auto batch = receive_batch(socket_.get(), batch_size(count - all.size()));
    if (!batch.ok()) return batch.error();
    if (!batch->has_value()) {
      if (const auto ready = wait_for(POLLIN); !ready) return ready.error();
      continue;
    }
    std::move((*batch)->begin(), (*batch)->end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace lb::handoff
