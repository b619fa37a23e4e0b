// ARP and Neighbour Discovery frames from the wire.
#include "dataplane/announce/neighbour_packets.hpp"
#include "tests/fuzz/target.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lb::announce;
  const auto claim = read_claim({data, size});
  if (!claim) return 0;
  lb::fuzz::must(read_claim(probe_frame(claim->mac, claim->address)) == claim,
                 "a probe is read as what it asks for");
  // The unspecified address cannot be announced: that frame is a probe.
  if (claim->address.is_wildcard()) return 0;
  lb::fuzz::must(read_claim(announcement_frame(claim->mac, claim->address)) == claim,
                 "an announcement is read as what it says");
  return 0;
}
