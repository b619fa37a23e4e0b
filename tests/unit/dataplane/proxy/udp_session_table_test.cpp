// The table of UDP sessions, its keyed hash, and the copies of what was not answered.
#include "dataplane/proxy/udp_session_table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>

#include "dataplane/proxy/udp_keepsakes.hpp"

namespace lb::proxy {
namespace {

UdpKey key_of(uint32_t address, uint16_t port) {
  UdpPeer client{};
  client.v4.sin_family = AF_INET;
  client.v4.sin_addr.s_addr = htonl(address);
  client.v4.sin_port = htons(port);
  return make_udp_key(client, {});
}

std::unique_ptr<UdpSession> session_with(const UdpKey& key) {
  auto out = std::make_unique<UdpSession>();
  out->key = key;
  return out;
}

TEST(UdpKey, TellsClientsPortsAndLocalAddressesApart) {
  UdpPeer six{};
  six.v6.sin6_family = AF_INET6;
  six.v6.sin6_addr.s6_addr[15] = 1;
  UdpPeer scoped = six;
  scoped.v6.sin6_scope_id = 2;
  const std::vector<UdpKey> keys = {key_of(1, 1),
                                    key_of(1, 2),
                                    key_of(2, 1),
                                    make_udp_key(six, {}),
                                    make_udp_key(six, {7, 0}),
                                    make_udp_key(scoped, {})};
  std::set<uint64_t> hashes;
  for (size_t i = 0; i < keys.size(); ++i) {
    hashes.insert(hash_of(keys[i], {1, 2}));
    for (size_t j = 0; j < i; ++j) EXPECT_FALSE(keys[i] == keys[j]) << i << ' ' << j;
  }
  EXPECT_EQ(hashes.size(), keys.size());
}

TEST(UdpKey, KnowsTheAddressOfAClient) {
  UdpPeer client{};
  client.v4.sin_family = AF_INET;
  client.v4.sin_addr.s_addr = htonl(0xc0000201);
  EXPECT_EQ(address_of(client), *IpAddress::parse("192.0.2.1"));
  client = {};
  client.v6.sin6_family = AF_INET6;
  client.v6.sin6_addr.s6_addr[0] = 0x20;
  client.v6.sin6_addr.s6_addr[1] = 0x01;
  EXPECT_EQ(address_of(client), *IpAddress::parse("2001::"));
}

TEST(UdpHash, DependsOnItsSeed) {
  int same = 0;
  for (uint32_t i = 0; i < 4096; ++i) {
    same += (hash_of(key_of(i, 53), {1, 2}) & 4095) == (hash_of(key_of(i, 53), {1, 3}) & 4095);
  }
  EXPECT_LT(same, 16) << "about one in 4096 by chance";
}

// Sources chosen to collide under one seed are spread under another, as a stranger's would be.
TEST(UdpHash, CraftedSourcesDoNotCrowdUnderAnotherSeed) {
  std::map<uint64_t, int> crowd;
  int crafted = 0;
  for (uint32_t i = 0; crafted < 1000; ++i) {
    const UdpKey key = key_of(i, 53);
    if ((hash_of(key, {1, 2}) & 255) != 0) continue;
    ++crafted;
    ++crowd[hash_of(key, {3, 4}) & 255];
  }
  for (const auto& [bucket, count] : crowd) EXPECT_LT(count, 24) << "four are the mean";
}

TEST(UdpHash, TheProcessKeepsTheSeedThatItDrew) {
  EXPECT_EQ(process_udp_seed().a, process_udp_seed().a);
  EXPECT_FALSE(process_udp_seed().a == 0 && process_udp_seed().b == 0);
}

TEST(UdpSessionTable, FindsWhatItHolds) {
  UdpSessionTable table;
  const auto one = session_with(key_of(1, 1));
  EXPECT_EQ(table.find(one->key), nullptr);
  table.insert(*one);
  EXPECT_EQ(table.find(one->key), one.get());
  EXPECT_EQ(table.find(key_of(1, 2)), nullptr);
  table.erase(*one);
  EXPECT_EQ(table.find(one->key), nullptr);
  EXPECT_EQ(table.size(), 0u);
}

TEST(UdpSessionTable, ErasingAStrangerChangesNothing) {
  UdpSessionTable table;
  const auto one = session_with(key_of(1, 1)), other = session_with(key_of(2, 1));
  table.insert(*one);
  table.erase(*other);
  EXPECT_EQ(table.size(), 1u);
  EXPECT_EQ(table.find(one->key), one.get());
}

TEST(UdpSessionTable, AgreesWithAMapOverManyRandomChanges) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  UdpSessionTable table;
  std::map<uint16_t, std::unique_ptr<UdpSession>> model;
  for (int step = 0; step < 200'000; ++step) {
    const auto port = uint16_t(random() % 3000);
    auto& held = model[port];
    ASSERT_EQ(table.find(key_of(7, port)), held.get()) << step;
    if (held) {
      table.erase(*held);
      held.reset();
    } else {
      held = session_with(key_of(7, port));
      table.insert(*held);
    }
  }
  const auto live = size_t(std::count_if(model.begin(), model.end(),
                                         [](const auto& each) { return each.second != nullptr; }));
  EXPECT_EQ(table.size(), live);
  size_t met = 0;
  table.for_each([&](const UdpSession&) { ++met; });
  EXPECT_EQ(met, live);
}

TEST(UdpKeepsakes, GivesBackWhatItKept) {
  UdpKeepsakes keepsakes;
  UdpSession one, other;
  keepsakes.keep(one, "first", 5);
  keepsakes.keep(other, "", 0);
  keepsakes.keep(one, "second", 6);
  const auto copy = keepsakes.copy_of(one);
  EXPECT_EQ(std::string(copy.data, copy.size), "second");
  EXPECT_NE(keepsakes.copy_of(other).data, nullptr) << "an empty datagram is one";
  keepsakes.forget(one);
  EXPECT_EQ(keepsakes.copy_of(one).data, nullptr);
}

TEST(UdpKeepsakes, KeepsNothingOfASessionThatNeverAsked) {
  UdpKeepsakes keepsakes;
  UdpSession one, stranger;
  keepsakes.keep(one, "x", 1);
  EXPECT_EQ(keepsakes.copy_of(stranger).data, nullptr);
  keepsakes.forget(stranger);
  EXPECT_NE(keepsakes.copy_of(one).data, nullptr);
}

TEST(UdpKeepsakes, TheNewestTakeThePlacesOfTheOldest) {
  UdpKeepsakes keepsakes;
  std::vector<UdpSession> sessions(UdpKeepsakes::kPlaces + 1);
  for (auto& session : sessions) keepsakes.keep(session, "x", 1);
  EXPECT_EQ(keepsakes.copy_of(sessions.front()).data, nullptr);
  EXPECT_NE(keepsakes.copy_of(sessions.back()).data, nullptr);
}

TEST(UdpKeepsakes, KeepsNothingThatIsTooLarge) {
  UdpKeepsakes keepsakes;
  UdpSession one;
  const std::string large(UdpKeepsakes::kLargest + 1, 'x');
  keepsakes.keep(one, "x", 1);
  keepsakes.keep(one, large.data(), large.size());
  EXPECT_EQ(keepsakes.copy_of(one).data, nullptr);
}

}  // namespace
}  // namespace lb::proxy
