#include "controller/core/fleet_members.hpp"

#include <gmock/gmock.h>

namespace lb::plan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

Endpoint at(const char* address, uint16_t port = 7443) {
  return {IpAddress::parse(address).value(), port};
}

SliceEndpoint pod(const char* name, const char* address) {
  SliceEndpoint out;
  out.addresses = {address};
  out.target_name = name;
  out.ready = true;
  out.serving = true;
  out.terminating = false;
  return out;
}

SliceEndpoint unready(SliceEndpoint endpoint) {
  endpoint.ready = endpoint.serving = false;
  return endpoint;
}

SliceEndpoint ending(SliceEndpoint endpoint) {
  endpoint.ready = false;
  endpoint.terminating = true;
  return endpoint;
}

EndpointSliceObject slice(std::vector<SliceEndpoint> endpoints) {
  EndpointSliceObject out;
  out.ports = {{"admin", "TCP", uint16_t{7443}}};
  out.endpoints = std::move(endpoints);
  return out;
}

class FleetMembersTest : public testing::Test {
 protected:
  FleetMembers members;
};

TEST_F(FleetMembersTest, ReadyPodsAreMembersByTheirNames) {
  EXPECT_THAT(members.update({slice({pod("b", "10.0.0.2")}), slice({pod("a", "10.0.0.1")})}),
              ElementsAre(Pair("a", at("10.0.0.1")), Pair("b", at("10.0.0.2"))));
}

TEST_F(FleetMembersTest, AnEndpointWithoutAPodHasItsAddressAsName) {
  EXPECT_THAT(members.update({slice({pod("", "10.0.0.1")})}),
              ElementsAre(Pair("10.0.0.1", at("10.0.0.1"))));
}

TEST_F(FleetMembersTest, AbsentConditionsMeanReady) {
  auto endpoint = pod("a", "10.0.0.1");
  endpoint.ready = endpoint.serving = endpoint.terminating = std::nullopt;
  EXPECT_THAT(members.update({slice({endpoint})}), ElementsAre(Pair("a", at("10.0.0.1"))));
}

TEST_F(FleetMembersTest, APodThatWasNeverReadyIsNoMember) {
  EXPECT_THAT(members.update({slice({unready(pod("a", "10.0.0.1"))})}), IsEmpty());
}

TEST_F(FleetMembersTest, AMemberThatIsNotReadyForAWhileStays) {
  members.update({slice({pod("a", "10.0.0.1")})});
  EXPECT_THAT(members.update({slice({unready(pod("a", "10.0.0.1"))})}),
              ElementsAre(Pair("a", at("10.0.0.1"))));
}

TEST_F(FleetMembersTest, OneThatIsEndingStaysUntilItIsGone) {
  members.update({slice({pod("a", "10.0.0.1")})});
  EXPECT_THAT(members.update({slice({unready(ending(pod("a", "10.0.0.1")))})}),
              ElementsAre(Pair("a", at("10.0.0.1"))));
  EXPECT_THAT(members.update({slice({})}), IsEmpty());
}

TEST_F(FleetMembersTest, OneThatServesWhileItEndsIsFoundByANewController) {
  EXPECT_THAT(members.update({slice({ending(pod("a", "10.0.0.1"))})}),
              ElementsAre(Pair("a", at("10.0.0.1"))));
}

TEST_F(FleetMembersTest, OneGoneMustBeReadyToJoinAgain) {
  members.update({slice({pod("a", "10.0.0.1")})});
  members.update({});
  EXPECT_THAT(members.update({slice({unready(pod("a", "10.0.0.1"))})}), IsEmpty());
}

TEST_F(FleetMembersTest, APodInTwoFamiliesIsOneMemberByIPv4) {
  EXPECT_THAT(members.update({slice({pod("a", "fd00::1")}), slice({pod("a", "10.0.0.1")})}),
              ElementsAre(Pair("a", at("10.0.0.1"))));
}

TEST_F(FleetMembersTest, AMemberKeepsTheAddressThatItJoinedWith) {
  members.update({slice({pod("a", "fd00::1")})});
  EXPECT_THAT(members.update({slice({pod("a", "10.0.0.1")}), slice({pod("a", "fd00::1")})}),
              ElementsAre(Pair("a", at("fd00::1"))));
}

TEST_F(FleetMembersTest, APodThatIsMadeAnewBringsItsNewAddress) {
  members.update({slice({pod("a", "10.0.0.1")})});
  EXPECT_THAT(members.update({slice({unready(pod("a", "10.0.0.9"))})}),
              ElementsAre(Pair("a", at("10.0.0.9"))));
}

TEST_F(FleetMembersTest, ASuccessorAtTheSameAddressWaitsForThePredecessorToGo) {
  members.update({slice({pod("old", "10.0.0.1")})});
  EXPECT_THAT(members.update({slice({ending(pod("old", "10.0.0.1")), pod("new", "10.0.0.1")})}),
              ElementsAre(Pair("old", at("10.0.0.1"))));
  EXPECT_THAT(members.update({slice({pod("new", "10.0.0.1")})}),
              ElementsAre(Pair("new", at("10.0.0.1"))));
}

TEST_F(FleetMembersTest, ThePortIsTheOneNamedAdmin) {
  auto two = slice({pod("a", "10.0.0.1")});
  two.ports.insert(two.ports.begin(), {"metrics", "TCP", uint16_t{9090}});
  EXPECT_THAT(members.update({two}), ElementsAre(Pair("a", at("10.0.0.1", 7443))));
}

TEST_F(FleetMembersTest, AnOnlyPortNeedsNoName) {
  auto one = slice({pod("a", "10.0.0.1")});
  one.ports = {{std::nullopt, "TCP", uint16_t{99}}};
  EXPECT_THAT(members.update({one}), ElementsAre(Pair("a", at("10.0.0.1", 99))));
}

TEST_F(FleetMembersTest, WithoutAPortThereIsNobodyToSpeakTo) {
  auto none = slice({pod("a", "10.0.0.1")});
  none.ports = {{"x", "TCP", uint16_t{1}}, {"y", "TCP", uint16_t{2}}};
  EXPECT_THAT(members.update({none}), IsEmpty());
  none.ports = {{"admin", "UDP", uint16_t{1}}};
  EXPECT_THAT(members.update({none}), IsEmpty());
  none.ports = {};
  EXPECT_THAT(members.update({none}), IsEmpty());
}

TEST_F(FleetMembersTest, WhatIsNoAddressIsLeftOut) {
  EXPECT_THAT(members.update({slice({pod("a", "name.example"), pod("b", "10.0.0.2")})}),
              ElementsAre(Pair("b", at("10.0.0.2"))));
}

}  // namespace
}  // namespace lb::plan
