#include "dataplane/handoff/handoff_message.hpp"
#include "common/model/json.hpp"
#include "tests/support/seed.hpp"

#include <gtest/gtest.h>

#include <random>

namespace lb::handoff {
namespace {

using nlohmann::json;

SocketLabel label(const char* endpoint, Protocol protocol = Protocol::kTcp, unsigned worker = 0) {
  return {{*parse_endpoint(endpoint), protocol}, worker, false};
}

OfferDocument small_offer() {
  OfferDocument offer;
  offer.version = "1.2.3";
  offer.workers = 2;
  offer.counters = {{"accepted", 7}, {"closed", 5}};
  offer.listeners = {label("192.0.2.1:80"), label("[2001:db8::1]:53", Protocol::kUdp, 1)};
  offer.lock = true;
  offer.state = R"({"schema":"x"})";
  return offer;
}

json offer_json() { return json::parse(*encode(small_offer())); }

std::string code_of(const json& offer) {
  const auto decoded = decode_offer(offer.dump());
  return decoded.ok() ? "" : decoded.error().code;
}

std::string place_of(const json& offer) {
  const auto decoded = decode_offer(offer.dump());
  return decoded.ok() ? "accepted" : decoded.error().pointer;
}

uint32_t printed_seed() {
  std::printf("EMPALME_SEED=%u\n", test::seed());
  return test::seed();
}

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  uint64_t below(uint64_t limit) { return engine_() % limit; }

  std::string text(size_t longest) {
    static const std::string kPieces[] = {"a", "\"", "\\", "\n", "\x01", "é", "漢", "😀", "{", "/"};
    std::string out;
    for (size_t i = below(longest + 1); i > 0; --i) out += kPieces[below(std::size(kPieces))];
    return out;
  }

  IpAddress address() {
    if (below(2) == 0) return IpAddress::v4(static_cast<uint32_t>(engine_()));
    std::array<uint8_t, 16> bytes{};
    for (auto& byte : bytes) byte = static_cast<uint8_t>(engine_());
    return IpAddress::v6(bytes);
  }

  SocketLabel socket() {
    return {{{address(), static_cast<uint16_t>(1 + below(65535))},
             below(2) == 0 ? Protocol::kTcp : Protocol::kUdp},
            static_cast<unsigned>(below(kMaxWorkers)),
            below(2) == 0};
  }

  Counters counters() {
    Counters counters;
    for (size_t i = below(20); i > 0; --i) counters[text(8)] = engine_();
    return counters;
  }

  OfferDocument offer() {
    OfferDocument offer;
    offer.version = text(20);
    offer.workers = 1 + static_cast<unsigned>(below(kMaxWorkers));
    offer.counters = counters();
    for (size_t i = below(30); i > 0; --i) offer.listeners.push_back(socket());
    offer.lock = below(2) == 0;
    offer.state = text(300);
    return offer;
  }

 private:
  std::mt19937_64 engine_;
};

TEST(HandoffMessage, AnyOfferComesBackAsItWas) {
  Random random(printed_seed());
  for (int i = 0; i < 500; ++i) {
    const OfferDocument offer = random.offer();
    const auto text = encode(offer);
    ASSERT_TRUE(text.ok()) << text.error().message;
    const auto back = decode_offer(*text);
    ASSERT_TRUE(back.ok()) << back.error().message << " at " << back.error().pointer;
    EXPECT_EQ(*back, offer);
  }
}

TEST(HandoffMessage, AnyShortMessageComesBackAsItWas) {
  Random random(printed_seed());
  for (int i = 0; i < 500; ++i) {
    const Hello hello{random.text(100)};
    EXPECT_EQ(*decode_hello(encode(hello)), hello);
    const Serving declined{false, random.text(100)};
    EXPECT_EQ(*decode_serving(encode(declined)), declined);
    const Released released{random.counters()};
    EXPECT_EQ(*decode_released(encode(released)), released);
  }
  EXPECT_EQ(*decode_serving(encode(Serving{true, {}})), (Serving{true, {}}));
}

// Whatever the bytes, the answer is a value or an error; sanitizers watch the rest.
TEST(HandoffMessage, GarbageIsAnErrorAndNothingElse) {
  Random random(printed_seed());
  const std::string good = *encode(small_offer());
  for (int i = 0; i < 5000; ++i) {
    std::string text = good;
    for (size_t changes = 1 + random.below(4); changes > 0; --changes) {
      text[random.below(text.size())] = static_cast<char>(random.below(256));
    }
    text.resize(1 + random.below(text.size()));
    const auto decoded = decode_offer(text);
    EXPECT_TRUE(decoded.ok() || decoded.error().code.starts_with("Handoff"));
    EXPECT_FALSE(decode_hello(text).ok());
    EXPECT_FALSE(decode_serving(text).ok());
    EXPECT_FALSE(decode_released(text).ok());
  }
}

TEST(HandoffMessage, EveryCutOfAnOfferIsRefused) {
  const std::string good = *encode(small_offer());
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(decode_offer(std::string_view(good).substr(0, length)).ok()) << length;
  }
}

TEST(HandoffMessage, DocumentsThatAreNoObjectAreRefused) {
  for (const char* text : {"", "null", "[]", "7", "\"x\"", "{}", "{\"handoff\":1"}) {
    EXPECT_FALSE(decode_offer(text).ok()) << text;
    EXPECT_FALSE(decode_hello(text).ok()) << text;
    EXPECT_FALSE(decode_serving(text).ok()) << text;
    EXPECT_FALSE(decode_released(text).ok()) << text;
  }
}

TEST(HandoffMessage, UnknownMembersArePassedOver) {
  json offer = offer_json();
  offer["later"] = {{"more", json::array({1, 2})}};
  offer["listeners"][0]["mark"] = 12;
  EXPECT_EQ(*decode_offer(offer.dump()), small_offer());
  EXPECT_TRUE(decode_serving(R"({"serving": true, "since": 3})").ok());
  EXPECT_TRUE(decode_hello(R"({"handoff": 1, "version": "9", "want": "listeners", "x": {}})").ok());
  EXPECT_TRUE(decode_released(R"({"released": true, "final_counters": {}, "x": 0})").ok());
}

TEST(HandoffMessage, AnotherProtocolIsNamed) {
  json offer = offer_json();
  offer["handoff"] = 2;
  EXPECT_EQ(code_of(offer), "HandoffProtocol");
  const auto hello = decode_hello(R"({"handoff": 2, "want": {"listeners": true}})");
  ASSERT_FALSE(hello.ok());
  EXPECT_EQ(hello.error().code, "HandoffProtocol");
  EXPECT_NE(hello.error().message.find("version 2"), std::string::npos);
}

TEST(HandoffMessage, ARefusalIsToldWithItsReason) {
  const auto decoded = decode_offer(encode_refusal("busy"));
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().code, "HandoffRefused");
  EXPECT_EQ(decoded.error().message, "busy");
}

TEST(HandoffMessage, EveryMemberOfAnOfferIsRequired) {
  const json good = offer_json();
  for (const auto& [name, value] : good.items()) {
    json offer = good;
    offer.erase(name);
    EXPECT_EQ(place_of(offer), "/" + name);
  }
  for (const auto& [name, value] : good["listeners"][0].items()) {
    json offer = good;
    offer["listeners"][0].erase(name);
    EXPECT_EQ(place_of(offer), "/listeners/0/" + name);
  }
}

TEST(HandoffMessage, EveryMemberOfAnOfferHasItsType) {
  const json good = offer_json();
  for (const auto& [name, value] : good.items()) {
    json offer = good;
    offer[name] = nullptr;
    EXPECT_EQ(place_of(offer).substr(0, name.size() + 1), "/" + name);
  }
  for (const auto& [name, value] : good["listeners"][1].items()) {
    json offer = good;
    offer["listeners"][1][name] = json::array();
    EXPECT_NE(place_of(offer), "accepted") << name;
  }
}

TEST(HandoffMessage, NumbersOutOfRangeAreRefused) {
  const auto with = [](const char* pointer, const json& value) {
    json offer = offer_json();
    offer[json::json_pointer(pointer)] = value;
    return place_of(offer);
  };
  EXPECT_EQ(with("/workers", 0), "/workers");
  EXPECT_EQ(with("/workers", kMaxWorkers + 1), "/workers");
  EXPECT_EQ(with("/listeners/0/port", 0), "/listeners/0/port");
  EXPECT_EQ(with("/listeners/0/port", 65536), "/listeners/0/port");
  EXPECT_EQ(with("/listeners/0/worker", -1), "/listeners/0/worker");
  EXPECT_EQ(with("/listeners/0/worker", kMaxWorkers), "/listeners/0/worker");
  EXPECT_EQ(with("/listeners/0/protocol", "sctp"), "/listeners/0/protocol");
  EXPECT_EQ(with("/listeners/0/address", "host.example"), "/listeners/0/address");
  EXPECT_EQ(with("/counters/accepted", -1), "/counters/accepted");
  EXPECT_EQ(with("/counters/accepted", 1.5), "/counters/accepted");
}

TEST(HandoffMessage, TooManyListenersAreRefusedOnBothSides) {
  OfferDocument offer = small_offer();
  offer.listeners.assign(kMaxListeners + 1, label("192.0.2.1:80"));
  EXPECT_FALSE(encode(offer).ok());
  offer.listeners.pop_back();
  const auto text = encode(offer);
  ASSERT_TRUE(text.ok());
  json document = json::parse(*text);
  document["listeners"].push_back(document["listeners"][0]);
  EXPECT_EQ(place_of(document), "/listeners");
}

TEST(HandoffMessage, TooManyCountersAreRefusedOnBothSides) {
  OfferDocument offer = small_offer();
  for (size_t i = 0; i <= kMaxCounters; ++i) offer.counters[std::to_string(i)] = i;
  EXPECT_FALSE(encode(offer).ok());
  json document = offer_json();
  document["counters"] = offer.counters;
  EXPECT_EQ(place_of(document), "/counters");
}

TEST(HandoffMessage, AStateBeyondTheLimitIsRefused) {
  OfferDocument offer = small_offer();
  offer.state.assign(kMaxOfferBytes, 'x');
  const auto text = encode(offer);
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().code, "HandoffTooLarge");
  const auto decoded = decode_offer(std::string(kMaxOfferBytes + 1, ' '));
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().code, "HandoffTooLarge");
}

TEST(HandoffMessage, AStateThatIsNotUtf8IsRefusedRatherThanChanged) {
  OfferDocument offer = small_offer();
  offer.state = "\xff\xfe";
  EXPECT_FALSE(encode(offer).ok());
}

TEST(HandoffMessage, OffersThatCouldNotBeReadAreNotWritten) {
  OfferDocument offer = small_offer();
  offer.workers = 0;
  EXPECT_FALSE(encode(offer).ok());
  offer = small_offer();
  offer.listeners[0].worker = kMaxWorkers;
  EXPECT_FALSE(encode(offer).ok());
  offer = small_offer();
  offer.listeners[0].listener.at.port = 0;
  EXPECT_FALSE(encode(offer).ok());
}

TEST(HandoffMessage, AReasonOfAnyBytesAndLengthCanBeRead) {
  const auto answer = decode_serving(encode(Serving{false, std::string(100000, '\xff')}));
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_FALSE(answer->why.empty());
}

TEST(HandoffMessage, ALongVersionIsCutBetweenCharacters) {
  OfferDocument offer;
  offer.version = std::string(1023, 'x') + "\u00e9";
  const auto text = encode(offer);
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_EQ(decode_offer(*text)->version, std::string(1023, 'x'));
}

TEST(HandoffMessage, NestingWithoutEndIsRefused) {
  const std::string deep = R"({"x":)" + std::string(100000, '[');
  EXPECT_FALSE(decode_offer(deep).ok());
}

TEST(HandoffMessage, NotReleasedIsNoRelease) {
  EXPECT_FALSE(decode_released(R"({"released": false, "final_counters": {}})").ok());
}

TEST(HandoffMessage, WantingSomethingElseIsRefused) {
  EXPECT_FALSE(decode_hello(R"({"handoff": 1, "version": "1", "want": "coffee"})").ok());
}

TEST(HandoffMessage, AnOfferCountsItsDescriptors) {
  OfferDocument offer = small_offer();
  EXPECT_EQ(offer.descriptors(), 3u);
  offer.lock = false;
  EXPECT_EQ(offer.descriptors(), 2u);
}

TEST(HandoffLength, ComesBackAsItWas) {
  for (const size_t length : {size_t{1}, size_t{255}, size_t{256}, size_t{70000}, kMaxOfferBytes}) {
    EXPECT_EQ(*decode_length(encode_length(length), kMaxOfferBytes), length);
  }
}

TEST(HandoffLength, NothingAndTooMuchAreRefused) {
  EXPECT_FALSE(decode_length(encode_length(0), 10).ok());
  EXPECT_TRUE(decode_length(encode_length(10), 10).ok());
  EXPECT_EQ(decode_length(encode_length(11), 10).error().code, "HandoffTooLarge");
  EXPECT_FALSE(decode_length({'G', 'E', 'T', ' '}, kMaxMessageBytes).ok());
}

}  // namespace
}  // namespace lb::handoff
