#include "dataplane/handoff/handoff_message.hpp"

#include <limits>

#include "common/model/json.hpp"
#include "common/model/json_reader.hpp"
#include "common/model/shortened.hpp"

namespace lb::handoff {

using nlohmann::json;

namespace {

constexpr size_t kMaxDepth = 16;  // of members that a later version may add
constexpr size_t kMaxText = 4096;

std::string for_people(const json& document) {
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

Error document_error(const Error& error) {
  const bool too_large = error.code == "TooLarge";
  return {too_large ? "HandoffTooLarge" : "HandoffDocument", error.message, error.pointer};
}

// The texts of people are cut rather than refused: a long reason must not end a handoff.
std::string for_reading(const std::string& text) { return shortened(text, kMaxText / 4); }

json of_protocol() {
  json out = json::object();
  out["handoff"] = kProtocol;
  return out;
}

json counters_json(const Counters& counters) {
  json all = json::object();
  for (const auto& [name, value] : counters) all[name] = value;
  return all;
}

Counters read_counters(wire::ObjectReader& reader, const char* name) {
  const json& all = reader.require(name);
  const std::string pointer = reader.at(name);
  if (!all.is_object()) wire::refuse(pointer, "must be an object");
  if (all.size() > kMaxCounters) wire::refuse(pointer, "too many counters");
  Counters counters;
  for (const auto& [key, value] : all.items()) {
    if (!value.is_number_unsigned()) {
      wire::refuse(wire::child(pointer, key), "must be a whole number of 64 bits");
    }
    counters[key] = value.get<uint64_t>();
  }
  return counters;
}

// Documents grow member by member: a braced list that runs out of memory half-way leaks what it
// has.
json label_json(const SocketLabel& label) {
  json out = json::object();
  out["address"] = label.listener.at.address.to_string();
  out["port"] = label.listener.at.port;
  out["protocol"] = to_string(label.listener.protocol);
  out["worker"] = label.worker;
  out["shared"] = label.shared;
  return out;
}

IpAddress read_address(wire::ObjectReader& reader) {
  const auto address = IpAddress::parse(wire::as_text(reader.require("address"), "address"));
  if (!address.ok()) wire::refuse(reader.at("address"), address.error().message);
  return *address;
}

SocketLabel read_label(const json& value, const std::string& pointer) {
  wire::ObjectReader reader(value, pointer);
  for (const char* name : {"port", "protocol", "worker", "shared"}) reader.require(name);
  SocketLabel label;
  label.listener.at.address = read_address(reader);
  reader.number("port", label.listener.at.port, 1, 65535);
  reader.choice("protocol", label.listener.protocol, {Protocol::kTcp, Protocol::kUdp});
  reader.number("worker", label.worker, 0, kMaxWorkers - 1);
  reader.flag("shared", label.shared);
  return label;
}

std::vector<SocketLabel> read_labels(wire::ObjectReader& reader) {
  std::vector<SocketLabel> labels;
  if (reader.require("listeners").size() > kMaxListeners) {
    wire::refuse(reader.at("listeners"), "too many listeners");
  }
  reader.list("listeners", [&](const json& value, const std::string& pointer) {
    labels.push_back(read_label(value, pointer));
  });
  return labels;
}

void check_protocol(wire::ObjectReader& reader) {
  unsigned protocol = 0;
  reader.require("handoff");
  reader.number("handoff", protocol, 0, std::numeric_limits<uint32_t>::max());
  if (protocol == kProtocol) return;
  throw wire::Refused{{"HandoffProtocol",
                       "the other process speaks version " + std::to_string(protocol) +
                           " of the handoff, this one " + std::to_string(kProtocol),
                       "/handoff"}};
}

OfferDocument read_offer(wire::ObjectReader& reader) {
  OfferDocument offer;
  for (const char* name : {"version", "workers", "lock", "state"}) reader.require(name);
  reader.text("version", offer.version);
  reader.number("workers", offer.workers, 1, kMaxWorkers);
  reader.flag("lock", offer.lock);
  reader.text("state", offer.state, kMaxOfferBytes);
  offer.counters = read_counters(reader, "counters");
  offer.listeners = read_labels(reader);
  return offer;
}

// Runs `read` over the object that `text` holds; what is thrown on the way ends here.
template <class T, class Read>
Result<T> decode(std::string_view text, size_t limit, Read read) {
  try {
    const json document = wire::parse_strict(text, limit, kMaxDepth);
    wire::ObjectReader reader(document, "");
    return read(reader);
  } catch (const wire::Refused& refused) {
    if (refused.error.code.starts_with("Handoff")) return refused.error;
    return document_error(refused.error);
  } catch (const std::exception& error) {
    return Error{"HandoffDocument", error.what()};
  }
}

Status check_limits(const OfferDocument& offer) {
  const auto refuse = [](const char* what) { return Error{"HandoffDocument", what}; };
  if (offer.workers < 1 || offer.workers > kMaxWorkers) return refuse("bad number of workers");
  if (offer.listeners.size() > kMaxListeners) return refuse("too many listeners");
  if (offer.counters.size() > kMaxCounters) return refuse("too many counters");
  for (const auto& label : offer.listeners) {
    if (label.worker >= kMaxWorkers) return refuse("a listener of a worker that cannot be");
    if (label.listener.at.port == 0) return refuse("a listener without a port");
  }
  return Done{};
}

json offer_json(const OfferDocument& offer) {
  json listeners = json::array();
  for (const auto& label : offer.listeners) listeners.push_back(label_json(label));
  json out = of_protocol();
  out["version"] = for_reading(offer.version);
  out["workers"] = offer.workers;
  out["counters"] = counters_json(offer.counters);
  out["listeners"] = std::move(listeners);
  out["lock"] = offer.lock;
  out["state"] = offer.state;
  return out;
}

}  // namespace

std::string encode(const Hello& hello) {
  json document = of_protocol();
  document["version"] = for_reading(hello.version);
  document["want"] = "listeners";
  return for_people(document);
}

Result<std::string> encode(const OfferDocument& offer) {
  if (const auto within = check_limits(offer); !within) return within.error();
  try {
    std::string text = offer_json(offer).dump();
    if (text.size() > kMaxOfferBytes) {
      return Error{"HandoffTooLarge", "the offer has " + std::to_string(text.size()) + " bytes"};
    }
    return text;
  } catch (const std::exception& error) {
    return Error{"HandoffDocument", error.what()};
  }
}

std::string encode_refusal(const std::string& why) {
  json document = of_protocol();
  document["refused"] = for_reading(why);
  return for_people(document);
}

std::string encode(const Serving& serving) {
  json document = json::object();
  document["serving"] = serving.serving;
  if (!serving.serving) document["why"] = for_reading(serving.why);
  return for_people(document);
}

std::string encode(const Released& released) {
  json document = json::object();
  document["released"] = true;
  document["final_counters"] = counters_json(released.final_counters);
  return for_people(document);
}

Result<Hello> decode_hello(std::string_view text) {
  return decode<Hello>(text, kMaxMessageBytes, [](wire::ObjectReader& reader) {
    check_protocol(reader);
    Hello hello;
    reader.require("version");
    reader.text("version", hello.version);
    const std::string want = wire::as_text(reader.require("want"), reader.at("want"));
    if (want != "listeners") wire::refuse(reader.at("want"), "wants something else");
    return hello;
  });
}

Result<OfferDocument> decode_offer(std::string_view text) {
  return decode<OfferDocument>(text, kMaxOfferBytes, [](wire::ObjectReader& reader) {
    std::string why;
    reader.text("refused", why);
    if (reader.find("refused") != nullptr) throw wire::Refused{{"HandoffRefused", why}};
    check_protocol(reader);
    return read_offer(reader);
  });
}

Result<Serving> decode_serving(std::string_view text) {
  return decode<Serving>(text, kMaxMessageBytes, [](wire::ObjectReader& reader) {
    Serving serving;
    reader.require("serving");
    reader.flag("serving", serving.serving);
    if (!serving.serving) reader.text("why", serving.why);
    return serving;
  });
}

Result<Released> decode_released(std::string_view text) {
  return decode<Released>(text, kMaxReleasedBytes, [](wire::ObjectReader& reader) {
    bool released = false;
    reader.require("released");
    reader.flag("released", released);
    if (!released) wire::refuse(reader.at("released"), "the sockets were not released");
    return Released{read_counters(reader, "final_counters")};
  });
}

LengthBytes encode_length(size_t length) {
  const auto byte = [length](int shift) { return static_cast<unsigned char>(length >> shift); };
  return {byte(24), byte(16), byte(8), byte(0)};
}

Result<size_t> decode_length(const LengthBytes& bytes, size_t limit) {
  size_t length = 0;
  for (const unsigned char byte : bytes) length = length << 8 | byte;
  if (length == 0) return Error{"HandoffDocument", "an empty document"};
  if (length <= limit) return length;
  return Error{"HandoffTooLarge", "a document of " + std::to_string(length) + " bytes"};
}

}  // namespace lb::handoff
