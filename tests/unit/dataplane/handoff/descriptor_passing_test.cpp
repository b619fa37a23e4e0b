#include "dataplane/handoff/descriptor_passing.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <numeric>

namespace lb::handoff {
namespace {

size_t open_files() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++count;
  }
  return count;
}

net::Fd numbered_event(unsigned number) { return net::Fd(::eventfd(number, EFD_NONBLOCK)); }

unsigned number_of(const net::Fd& event) {
  uint64_t value = 0;
  return ::read(event.get(), &value, sizeof value) == sizeof value ? static_cast<unsigned>(value)
                                                                   : 0;
}

class DescriptorPassing : public testing::Test {
 protected:
  void SetUp() override {
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    sender_.reset(pair[0]);
    receiver_.reset(pair[1]);
  }

  std::vector<int> borrowed(size_t count) {
    while (events_.size() < count) {
      events_.push_back(numbered_event(static_cast<unsigned>(events_.size()) + 1));
    }
    std::vector<int> fds;
    for (size_t i = 0; i < count; ++i) fds.push_back(events_[i].get());
    return fds;
  }

  // A message as no peer of ours would send it.
  void send_raw(std::string payload, const std::vector<int>& fds) const {
    iovec part{payload.data(), payload.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    std::vector<char> control(CMSG_SPACE(fds.size() * sizeof(int)));
    if (!fds.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
      std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
    }
    ASSERT_EQ(::sendmsg(sender_.get(), &message, 0), static_cast<ssize_t>(payload.size()));
  }

  std::string receive_error(size_t expected) const {
    const auto batch = receive_batch(receiver_.get(), expected);
    return batch.ok() ? "" : batch.error().code;
  }

  net::Fd sender_, receiver_;
  std::vector<net::Fd> events_;
};

TEST_F(DescriptorPassing, DescriptorsComeInTheirOrder) {
  ASSERT_TRUE(*send_batch(sender_.get(), borrowed(5)));
  const auto batch = receive_batch(receiver_.get(), 5);
  ASSERT_TRUE(batch.ok()) << batch.error().message;
  ASSERT_EQ((*batch)->size(), 5u);
  for (unsigned i = 0; i < 5; ++i) EXPECT_EQ(number_of((**batch)[i]), i + 1);
}

TEST_F(DescriptorPassing, AFullBatchPasses) {
  ASSERT_TRUE(*send_batch(sender_.get(), borrowed(kBatch)));
  EXPECT_EQ((*receive_batch(receiver_.get(), kBatch))->size(), kBatch);
}

TEST_F(DescriptorPassing, BatchesDoNotRunIntoEachOther) {
  const auto fds = borrowed(30);
  for (size_t from = 0; from < 30; from += 10) {
    ASSERT_TRUE(*send_batch(sender_.get(), std::span(fds).subspan(from, 10)));
  }
  for (unsigned from = 0; from < 30; from += 10) {
    const auto batch = receive_batch(receiver_.get(), 10);
    ASSERT_TRUE(batch.ok()) << batch.error().message;
    EXPECT_EQ(number_of((*batch)->front()), from + 1);
  }
}

TEST_F(DescriptorPassing, ReceivedDescriptorsCloseOnExec) {
  ASSERT_TRUE(*send_batch(sender_.get(), borrowed(1)));
  const auto batch = receive_batch(receiver_.get(), 1);
  EXPECT_EQ(::fcntl((*batch)->front().get(), F_GETFD), FD_CLOEXEC);
}

TEST_F(DescriptorPassing, NothingThereIsNoError) {
  const auto batch = receive_batch(receiver_.get(), 1);
  ASSERT_TRUE(batch.ok());
  EXPECT_FALSE(batch->has_value());
}

TEST_F(DescriptorPassing, ABlockingSocketWaits) {
  ASSERT_EQ(::fcntl(receiver_.get(), F_SETFL, 0), 0);
  ASSERT_TRUE(*send_batch(sender_.get(), borrowed(2)));
  EXPECT_EQ((*receive_batch(receiver_.get(), 2))->size(), 2u);
}

TEST_F(DescriptorPassing, AFullSocketIsNoError) {
  const auto fds = borrowed(1);
  int sent = 0;
  for (;; ++sent) {
    ASSERT_LT(sent, 100000);
    const auto taken = send_batch(sender_.get(), fds);
    ASSERT_TRUE(taken.ok()) << taken.error().message;
    if (!*taken) break;
  }
  for (int i = 0; i < sent; ++i) ASSERT_TRUE(receive_batch(receiver_.get(), 1).ok());
  EXPECT_TRUE(*send_batch(sender_.get(), fds));
}

TEST_F(DescriptorPassing, EmptyAndOversizedBatchesAreNotSent) {
  EXPECT_EQ(send_batch(sender_.get(), {}).error().code, "DescriptorCount");
  EXPECT_EQ(send_batch(sender_.get(), borrowed(kBatch + 1)).error().code, "DescriptorCount");
}

TEST_F(DescriptorPassing, AClosedDescriptorIsAnError) {
  const int closed = borrowed(1)[0];
  events_.clear();
  EXPECT_EQ(send_batch(sender_.get(), std::span(&closed, 1)).error().code, "Descriptors");
}

TEST_F(DescriptorPassing, SendingToNobodyIsAnErrorWithoutASignal) {
  receiver_.reset();
  EXPECT_EQ(send_batch(sender_.get(), borrowed(1)).error().code, "PeerGone");
}

TEST_F(DescriptorPassing, ReceivingFromNobodyIsAnError) {
  sender_.reset();
  EXPECT_EQ(receive_error(1), "PeerGone");
}

TEST_F(DescriptorPassing, OtherThanTheExpectedNumberIsRefusedAndClosed) {
  const auto fds = borrowed(3);
  const size_t before = open_files();
  ASSERT_TRUE(*send_batch(sender_.get(), fds));
  EXPECT_EQ(receive_error(2), "DescriptorCount");
  ASSERT_TRUE(*send_batch(sender_.get(), fds));
  EXPECT_EQ(receive_error(4), "DescriptorCount");
  EXPECT_EQ(open_files(), before);
}

TEST_F(DescriptorPassing, AWrongPayloadCountIsRefusedAndClosed) {
  const auto fds = borrowed(2);
  const size_t before = open_files();
  send_raw(std::string(1, '\x07'), fds);
  EXPECT_EQ(receive_error(2), "DescriptorCount");
  EXPECT_EQ(open_files(), before);
}

TEST_F(DescriptorPassing, ABatchWithoutDescriptorsIsRefused) {
  send_raw(std::string(1, '\x02'), {});
  EXPECT_EQ(receive_error(2), "DescriptorCount");
}

TEST_F(DescriptorPassing, MoreThanABatchFromAStrangerIsRefusedAndClosed) {
  const auto fds = borrowed(253);
  const size_t before = open_files();
  send_raw(std::string(1, '\xc8'), fds);
  EXPECT_EQ(receive_error(kBatch), "DescriptorCount");
  EXPECT_EQ(open_files(), before);
}

TEST_F(DescriptorPassing, ALimitOfOpenFilesIsAnErrorAndLeavesNothingOpen) {
  const auto fds = borrowed(50);
  const size_t before = open_files();
  ASSERT_TRUE(*send_batch(sender_.get(), fds));
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  const rlimit tight{static_cast<rlim_t>(before + 20), old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  const std::string code = receive_error(50);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &old), 0);
  EXPECT_EQ(code, "TooManyOpenFiles");
  EXPECT_EQ(open_files(), before);
}

TEST(BatchSize, IsTheRestUpToTheLimit) {
  EXPECT_EQ(batch_size(0), 0u);
  EXPECT_EQ(batch_size(1), 1u);
  EXPECT_EQ(batch_size(kBatch), kBatch);
  EXPECT_EQ(batch_size(kBatch + 1), kBatch);
}

}  // namespace
}  // namespace lb::handoff
