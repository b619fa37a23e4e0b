#include "dataplane/announce/successor.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>

#include "dataplane/announce/vrrp_folder.hpp"
#include "tests/support/temporary_folder.hpp"

namespace lb::announce {
namespace {

using State = Successor::State;

class SuccessorTest : public testing::Test {
 protected:
  SuccessorTest() { own = make_pipe(path).value(); }

  net::Fd take_over() { return make_pipe(path).value(); }
  State look() { return successor.look(path, own.get()); }

  const test::TemporaryFolder folder;
  std::string path = folder.path() + "/events";
  net::Fd own;
  Successor successor;
};

TEST_F(SuccessorTest, OurOwnPipeIsNobodyElses) { EXPECT_EQ(look(), State::kNotSeen); }

TEST_F(SuccessorTest, WhoeverHasPutAPipeThereAndReadsIsThere) {
  const auto theirs = take_over();
  EXPECT_EQ(look(), State::kThere);
}

TEST_F(SuccessorTest, AnotherOneAfterItIsThereToo) {
  { const auto theirs = take_over(); }
  const auto third = take_over();
  EXPECT_EQ(look(), State::kThere);
}

TEST_F(SuccessorTest, APipeThatNobodyReadsIsThatOfOneThatHasEnded) {
  {
    const auto theirs = take_over();
    EXPECT_EQ(look(), State::kThere);
  }
  EXPECT_EQ(look(), State::kGone);
}

TEST_F(SuccessorTest, OneThatEndedBeforeItWasLookedForIsGoneToo) {
  { const auto theirs = take_over(); }
  EXPECT_EQ(look(), State::kGone);
}

TEST_F(SuccessorTest, OneThatHasEndedInGoodOrderIsGone) {
  const auto theirs = take_over();
  EXPECT_EQ(look(), State::kThere);
  std::filesystem::remove(path);
  EXPECT_EQ(look(), State::kGone);
}

TEST_F(SuccessorTest, AFolderThatIsAwayIsNoSuccessorThatHasEnded) {
  std::filesystem::remove_all(folder.path());
  EXPECT_EQ(look(), State::kNotSeen);
}

TEST_F(SuccessorTest, WithoutADescriptorTheAnswerIsTheOneBefore) {
  const auto theirs = take_over();
  EXPECT_EQ(look(), State::kThere);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto state = look();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(state, State::kThere);
}

TEST_F(SuccessorTest, LookingWritesNothing) {
  const auto theirs = take_over();
  look();
  char byte = 0;
  EXPECT_EQ(::read(theirs.get(), &byte, 1), -1);
  EXPECT_EQ(errno, EAGAIN);
}

}  // namespace
}  // namespace lb::announce
