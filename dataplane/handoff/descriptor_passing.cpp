#include "dataplane/handoff/descriptor_passing.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

namespace lb::handoff {
namespace {

constexpr size_t kKernelMax = 253;  // SCM_MAX_FD: what a peer may send at most

// The control buffer of one message, aligned as cmsg(3) asks for.
struct Control {
  alignas(cmsghdr) char bytes[CMSG_SPACE(kKernelMax * sizeof(int))];
};

Error system_error(const char* what, int number) {
  const char* code = number == EPIPE || number == ECONNRESET ? "PeerGone" : "Descriptors";
  return {code, std::string(what) + ": " + std::generic_category().message(number)};
}

bool would_block(int number) { return number == EAGAIN || number == EWOULDBLOCK; }

void attach(msghdr& message, Control& control, std::span<const int> descriptors) {
  std::memset(&control, 0, sizeof control);
  message.msg_control = control.bytes;
  message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
}

// Owns every descriptor that the kernel has put into the message, whatever else is wrong with it.
std::vector<net::Fd> take_all(msghdr& message) {
  std::vector<net::Fd> taken;
  taken.reserve(kKernelMax);
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      taken.emplace_back(fd);
    }
  }
  return taken;
}

Error wrong_count(size_t announced, size_t came, size_t expected) {
  return {"DescriptorCount", "a batch says it has " + std::to_string(announced) +
                                 " descriptors and has " + std::to_string(came) + " where " +
                                 std::to_string(expected) + " were agreed"};
}

}  // namespace

Result<bool> send_batch(int socket, std::span<const int> descriptors) {
  if (descriptors.empty() || descriptors.size() > kBatch) {
    return Error{"DescriptorCount", "a batch of " + std::to_string(descriptors.size())};
  }
  auto count = static_cast<unsigned char>(descriptors.size());
  iovec payload{&count, 1};
  Control control;
  msghdr message{};
  message.msg_iov = &payload;
  message.msg_iovlen = 1;
  attach(message, control, descriptors);
  for (;;) {
    if (::sendmsg(socket, &message, MSG_NOSIGNAL) == 1) return true;
    if (would_block(errno)) return false;
    if (errno != EINTR) return system_error("cannot pass descriptors", errno);
  }
}

Result<std::optional<std::vector<net::Fd>>> receive_batch(int socket, size_t expected) {
  unsigned char announced = 0;
  iovec payload{&announced, 1};
  Control control;
  msghdr message{};
  message.msg_iov = &payload;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  ssize_t got = -1;
  do {
    got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && would_block(errno)) return std::optional<std::vector<net::Fd>>{};
  if (got < 0) return system_error("cannot receive descriptors", errno);
  std::vector<net::Fd> taken = take_all(message);
  if (got == 0) return Error{"PeerGone", "the other process is gone"};
  // The buffer holds all that the kernel lets anybody send, so only our own limit can cut it.
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    return Error{"TooManyOpenFiles", "this process may not open as many files as the other has"};
  }
  if (taken.size() != expected || announced != expected) {
    return wrong_count(announced, taken.size(), expected);
  }
  return std::optional(std::move(taken));
}

}  // namespace lb::handoff
