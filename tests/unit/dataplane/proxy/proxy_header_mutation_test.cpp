// The parser of PROXY headers against a second one, written in another way, over headers with
// random damage: both must say the same of each.
#include <gtest/gtest.h>

#include <map>

#include "proxy_header_samples.hpp"

namespace lb::proxy {
namespace {

using test::naive_verdict;
using test::told;

class Damage {
 public:
  explicit Damage(uint64_t seed) : random_(seed), good_(test::good_headers()) {}

  std::string next() {
    std::string out = good_[pick(good_.size())];
    if (pick(8) == 0) out = random_header();
    for (size_t i = pick(4); i > 0 && !out.empty(); --i) harm(out);
    if (pick(3) == 0) out += std::string(pick(400), "x\r\n "[pick(4)]);
    return out;
  }

 private:
  size_t pick(size_t count) { return random_() % count; }

  std::string random_header() {
    const Endpoint client = test::random_endpoint(random_);
    const Endpoint local = test::random_endpoint(random_);
    if (pick(2) == 0) return encode_proxy_v1(client, local);
    std::string out =
        encode_proxy_v2(client, local, pick(2) == 0 ? Protocol::kTcp : Protocol::kUdp);
    return pick(2) == 0 ? out : test::with_crc(out);
  }

  void harm(std::string& text) {
    static const std::string kLikely("\r\n 0159.:fPROXYTCKU\0\3\x10\x11\x20\x21\x31\xff", 27);
    const size_t at = pick(text.size());
    switch (pick(7)) {
      case 0:
        text[at] = static_cast<char>(text[at] ^ 1 << pick(8));
        return;
      case 1:
        text[at] = kLikely[pick(kLikely.size())];
        return;
      case 2:
        text.insert(at, 1, kLikely[pick(kLikely.size())]);
        return;
      case 3:
        text.erase(at, 1 + pick(4));
        return;
      case 4:
        text.resize(at);
        return;
      case 5:
        text.insert(at, text.substr(at, 1 + pick(20)));
        return;
      default:
        if (text.size() > 15) text[12 + pick(4)] = static_cast<char>(pick(256));
    }
  }

  std::mt19937_64 random_;
  std::vector<std::string> good_;
};

TEST(ProxyHeaderMutation, TwoParsersAgreeOnDamagedHeaders) {
  Damage damage(test::printed_seed());
  std::map<std::string, int> seen;
  for (int i = 0; i < 100000; ++i) {
    const std::string bytes = damage.next();
    const std::string got = told(test::parse(bytes));
    ASSERT_EQ(got, naive_verdict(bytes)) << testing::PrintToString(bytes);
    ++seen[got.substr(0, 4)];
  }
  for (const auto& [verdict, count] : seen) std::cout << verdict << ' ' << count << std::endl;
  for (const char* verdict : {"more", "bad", "done"}) EXPECT_GT(seen[verdict], 1000) << verdict;
}

TEST(ProxyHeaderMutation, ABadVerdictStaysAndAGoodOneDoesNotMove) {
  Damage damage(test::printed_seed());
  for (int i = 0; i < 3000; ++i) {
    const std::string bytes = damage.next();
    std::string settled;
    for (size_t size = 0; size <= bytes.size(); ++size) {
      const std::string got = told(test::parse(bytes.substr(0, size)));
      if (settled.empty()) settled = got == "more" ? "" : got;
      ASSERT_EQ(got, settled.empty() ? "more" : settled) << testing::PrintToString(bytes) << size;
    }
  }
}

}  // namespace
}  // namespace lb::proxy
