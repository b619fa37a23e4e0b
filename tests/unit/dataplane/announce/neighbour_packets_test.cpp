// Frames byte by byte, and what is read out of others'.
#include "dataplane/announce/neighbour_packets.hpp"

#include <gmock/gmock.h>

namespace lb::announce {
namespace {

using testing::SizeIs;

constexpr Mac kMac{2, 0x42, 0xac, 0x11, 0, 7};
IpAddress ip(const char* text) { return IpAddress::parse(text).value(); }

TEST(NeighbourPackets, AnArpProbeClaimsNothing) {
  const Frame frame = probe_frame(kMac, ip("192.0.2.10"));
  const Frame wanted{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0x42, 0xac, 0x11, 0,    7,    8, 6,
                     0,    1,    8,    0,    6,    4,    0, 1,    2,    0x42, 0xac, 0x11, 0, 7,
                     0,    0,    0,    0,    0,    0,    0, 0,    0,    0,    192,  0,    2, 10};
  EXPECT_EQ(frame, wanted);
}

TEST(NeighbourPackets, AnArpAnnouncementNamesTheAddressTwice) {
  const Frame frame = announcement_frame(kMac, ip("192.0.2.10"));
  const Frame sender(frame.begin() + 28, frame.begin() + 32);
  const Frame target(frame.begin() + 38, frame.begin() + 42);
  EXPECT_EQ(sender, (Frame{192, 0, 2, 10}));
  EXPECT_EQ(target, sender);
}

// RFC 8200: the sum over the pseudo-header and the whole message is all ones.
uint32_t sum_of(const Frame& frame) {
  uint32_t sum = 58 + static_cast<uint32_t>(frame.size() - 54);
  for (size_t i = 22; i + 1 < frame.size(); i += 2) sum += frame[i] << 8 | frame[i + 1];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

TEST(NeighbourPackets, ASolicitationGoesToTheSolicitedNodeFromNobody) {
  const Frame frame = probe_frame(kMac, ip("2001:db8::a:bcde"));
  ASSERT_THAT(frame, SizeIs(14 + 40 + 24));
  EXPECT_EQ(Frame(frame.begin(), frame.begin() + 6), (Frame{0x33, 0x33, 0xff, 0x0a, 0xbc, 0xde}));
  EXPECT_EQ(Frame(frame.begin() + 22, frame.begin() + 38), Frame(16, 0));
  EXPECT_EQ(frame[21], 255) << "hop limit";
  EXPECT_EQ(frame[54], 135);
  EXPECT_EQ(sum_of(frame), 0xffffu);
}

TEST(NeighbourPackets, AnAdvertisementOverridesAndCarriesTheMac) {
  const Frame frame = announcement_frame(kMac, ip("2001:db8::1"));
  ASSERT_THAT(frame, SizeIs(14 + 40 + 32));
  EXPECT_EQ(frame[54], 136);
  EXPECT_EQ(frame[58], 0x20);
  EXPECT_EQ(Frame(frame.end() - 6, frame.end()), Frame(kMac.begin(), kMac.end()));
  EXPECT_EQ(sum_of(frame), 0xffffu);
}

TEST(NeighbourPackets, ReadsWhoClaimsAnAddress) {
  for (const char* text : {"192.0.2.10", "2001:db8::1"}) {
    const Claim wanted{ip(text), kMac};
    EXPECT_EQ(read_claim(announcement_frame(kMac, ip(text))), wanted) << text;
    EXPECT_EQ(read_claim(probe_frame(kMac, ip(text))), wanted) << "another's probe, " << text;
  }
}

TEST(NeighbourPackets, TakesNothingFromFramesThatAreCutShort) {
  for (const char* text : {"192.0.2.10", "2001:db8::1"}) {
    const Frame whole = probe_frame(kMac, ip(text));
    for (size_t size = 0; size < whole.size(); ++size) {
      EXPECT_EQ(read_claim({whole.data(), size}), std::nullopt) << size;
    }
  }
}

TEST(NeighbourPackets, TakesNothingFromAdvertisementsOutOfAnotherNetwork) {
  Frame frame = announcement_frame(kMac, ip("2001:db8::1"));
  frame[21] = 64;
  EXPECT_EQ(read_claim(frame), std::nullopt);
}

TEST(NeighbourPackets, PrintsMacsAsPeopleWriteThem) {
  EXPECT_EQ(to_string(kMac), "02:42:ac:11:00:07");
}

}  // namespace
}  // namespace lb::announce
