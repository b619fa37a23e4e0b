#include "dataplane/handoff/handoff_client.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <utility>

#include "common/net/sockaddr.hpp"

namespace lb::handoff {
namespace {

using Clock = BlockingChannel::Clock;

constexpr std::chrono::seconds kConfirmTimeout{10};
constexpr std::chrono::seconds kProbeTimeout{1};

int int_option(int fd, int option) {
  int value = -1;
  socklen_t length = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 ? value : -1;
}

Endpoint local_endpoint(int fd) {
  net::SockAddr local;
  local.length = sizeof local.storage;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&local.storage), &local.length);
  return net::to_endpoint(local);
}

bool fits(const SocketLabel& label, int fd) {
  const bool tcp = label.listener.protocol == Protocol::kTcp;
  if (int_option(fd, SO_TYPE) != (tcp ? SOCK_STREAM : SOCK_DGRAM)) return false;
  if (tcp && int_option(fd, SO_ACCEPTCONN) != 1) return false;
  return local_endpoint(fd) == label.listener.at;
}

Status check_sockets(const std::vector<TakenSocket>& sockets) {
  for (const auto& socket : sockets) {
    if (fits(socket.label, socket.fd.get())) continue;
    return Error{"HandoffSocketMismatch",
                 "what came for " + std::string(to_string(socket.label.listener.protocol)) + " " +
                     socket.label.listener.at.to_string() + " is another descriptor"};
  }
  return Done{};
}

Result<OfferDocument> ask(BlockingChannel& channel, const std::string& version) {
  const auto sent = channel.send_document(encode(Hello{version}));
  // A refusal may be there to read even though our words were not wanted.
  if (!sent.ok() && sent.error().code != "PeerGone") return sent.error();
  const auto text = channel.receive_document(kMaxOfferBytes);
  if (!text.ok()) return text.error();
  return decode_offer(*text);
}

}  // namespace

Taken::Taken(BlockingChannel channel, OfferDocument document, std::vector<net::Fd> descriptors)
    : version(std::move(document.version)),
      workers(document.workers),
      counters(std::move(document.counters)),
      state(std::move(document.state)),
      channel_(std::move(channel)) {
  auto next = descriptors.begin();
  if (document.lock) lock = std::move(*next++);
  for (auto& label : document.listeners) {
    listeners.push_back({std::move(label), std::move(*next++)});
  }
}

Result<Counters> Taken::confirm(bool serving, const std::string& why) {
  channel_.set_deadline(Clock::now() + kConfirmTimeout);
  const auto sent = channel_.send_document(encode(Serving{serving, why}));
  if (!sent.ok()) return sent.error();
  if (!serving) return Counters{};
  const auto text = channel_.receive_document(kMaxReleasedBytes);
  if (!text.ok()) return text.error();
  auto released = decode_released(*text);
  if (!released.ok()) return released.error();
  return std::move(released->final_counters);
}

Result<std::optional<Taken>> take_over(const std::string& path, const std::string& version,
                                       std::chrono::milliseconds timeout) {
  auto channel = BlockingChannel::connect(path, Clock::now() + timeout);
  if (!channel.ok()) return channel.error();
  if (!channel->has_value()) return std::optional<Taken>{};
  auto document = ask(**channel, version);
  if (!document.ok()) return document.error();
  auto descriptors = (*channel)->receive_descriptors(document->descriptors());
  if (!descriptors.ok()) return descriptors.error();
  Taken taken(std::move(**channel), std::move(*document), std::move(*descriptors));
  if (const auto good = check_sockets(taken.listeners); !good) return good.error();
  return std::optional(std::move(taken));
}

bool is_answered(const std::string& path) {
  const auto channel = BlockingChannel::connect(path, Clock::now() + kProbeTimeout);
  return !channel.ok() || channel->has_value();
}

bool is_open_on(const net::Fd& lock, const std::string& path) {
  struct stat ours {};
  struct stat there {};
  return lock.valid() && ::fstat(lock.get(), &ours) == 0 && ::stat(path.c_str(), &there) == 0 &&
         ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

}  // namespace lb::handoff
