// Why a listener is not served, as the last change has it.
#include "dataplane/proxy/failed_listeners.hpp"

#include <gtest/gtest.h>

namespace lb::proxy {
namespace {

const ListenerId kWeb{{IpAddress::v4(0x0a000001), 80}, Protocol::kTcp};

Failure failure(const std::string& key, const ListenerId& id, const std::string& reason) {
  return {key, id.at.address, id.at.port, id.protocol, "", reason, "", id.match};
}

TEST(FailedListeners, NothingIsKnownAgainstOthers) {
  FailedListeners failed;
  failed.set({failure("a", kWeb, "AddressInUse")});
  EXPECT_EQ(failed.reason_of("a", kWeb), "AddressInUse");
  EXPECT_EQ(failed.reason_of("b", kWeb), "");
  EXPECT_EQ(failed.reason_of("a", {kWeb.at, Protocol::kUdp}), "");
}

TEST(FailedListeners, EachMatchOfADoorHasItsOwnReason) {
  const ListenerId named{kWeb.at, kWeb.protocol, {{"shop.example"}, {}}};
  FailedListeners failed;
  failed.set({failure("a", kWeb, "Conflict"), failure("a", named, "OutOfMemory")});
  EXPECT_EQ(failed.reason_of("a", kWeb), "Conflict");
  EXPECT_EQ(failed.reason_of("a", named), "OutOfMemory");
}

TEST(FailedListeners, TheLastReasonOfSeveralCounts) {
  FailedListeners failed;
  failed.set({failure("a", kWeb, "Conflict"), failure("a", kWeb, "AddressInUse")});
  EXPECT_EQ(failed.reason_of("a", kWeb), "AddressInUse");
  EXPECT_EQ(failed.all().size(), 2u);
}

TEST(FailedListeners, WhatHasPassedIsForgotten) {
  FailedListeners failed;
  failed.set({failure("a", kWeb, "AddressInUse")});
  failed.set({});
  EXPECT_EQ(failed.reason_of("a", kWeb), "");
  EXPECT_TRUE(failed.all().empty());
}

}  // namespace
}  // namespace lb::proxy
