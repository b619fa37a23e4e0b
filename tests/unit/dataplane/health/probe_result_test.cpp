#include "dataplane/health/probe_result.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace lb::health {
namespace {

TEST(ProbeResult, IsASuccessByDefault) { EXPECT_TRUE(ProbeResult{}.ok()); }

TEST(ProbeResult, IsOurOwnFaultWhenThisHostLacksSomething) {
  for (const int error :
       {EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC, EADDRNOTAVAIL, EADDRINUSE, EAGAIN}) {
    const ProbeResult result = result_of_errno(error);
    EXPECT_EQ(result.outcome, Outcome::kOwnWant) << error;
    EXPECT_TRUE(result.reason.starts_with("OurOwnWant: ")) << result.reason;
  }
}

TEST(ProbeResult, IsTheTargetsFaultOtherwise) {
  for (const int error : {ECONNREFUSED, EHOSTUNREACH, ECONNRESET, EPERM, EINVAL, 0}) {
    EXPECT_EQ(result_of_errno(error).outcome, Outcome::kFailure) << error;
  }
}

TEST(ProbeResult, HasAStableFirstWord) {
  EXPECT_EQ(result_of_errno(ECONNREFUSED).reason, "ConnectRefused");
  EXPECT_EQ(result_of_errno(ENETUNREACH).reason, "Unreachable");
  EXPECT_EQ(result_of_errno(EHOSTUNREACH).reason, "Unreachable");
  EXPECT_EQ(result_of_errno(ECONNRESET).reason, "Reset");
  EXPECT_EQ(result_of_errno(EPIPE).reason, "Reset");
  EXPECT_TRUE(result_of_errno(EPERM).reason.starts_with("SocketError: "));
}

TEST(ProbeResult, TakesTheKernelsTimeoutForATimeout) {
  EXPECT_EQ(result_of_errno(ETIMEDOUT), (ProbeResult{Outcome::kTimeout, "ConnectTimeout"}));
}

}  // namespace
}  // namespace lb::health
