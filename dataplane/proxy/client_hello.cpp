#include "dataplane/proxy/client_hello.hpp"

#include <algorithm>
#include <optional>
#include <vector>

namespace lb::proxy {
namespace {

using Verdict = ClientHello::Verdict;
using Bytes = std::span<const uint8_t>;

constexpr size_t kRecordHeader = 5;
constexpr size_t kMaxRecord = 16 * 1024;
constexpr size_t kMessageHeader = 4;
constexpr uint8_t kHandshake = 22;
constexpr uint8_t kHello = 1;
constexpr uint16_t kServerName = 0;
constexpr uint8_t kHostName = 0;
// RFC 1035, section 2.3.4, written out. Names are looked up once for each of their dots: 16 KiB of
// them would take a worker 15 ms.
constexpr size_t kMaxName = 253;

size_t number(Bytes bytes) {
  size_t out = 0;
  for (const uint8_t byte : bytes) out = out << 8 | byte;
  return out;
}

// Takes from the front; none where there is less.
class Cursor {
 public:
  explicit Cursor(Bytes bytes) : left_(bytes) {}
  bool empty() const { return left_.empty(); }
  std::optional<Bytes> take(size_t count) {
    if (left_.size() < count) return std::nullopt;
    const Bytes out = left_.first(count);
    left_ = left_.subspan(count);
    return out;
  }
  std::optional<size_t> take_number(size_t width) {
    const auto bytes = take(width);
    return bytes ? std::optional(number(*bytes)) : std::nullopt;
  }
  // What follows its own length.
  std::optional<Bytes> take_sized(size_t width) {
    const auto size = take_number(width);
    return size ? take(*size) : std::nullopt;
  }

 private:
  Bytes left_;
};

// What is wrong with a record by its header; none: nothing.
std::optional<Verdict> judge_record(Bytes header, bool first) {
  const Verdict wrong = first ? Verdict::kNotTls : Verdict::kMalformed;
  if (!header.empty() && header[0] != kHandshake) return wrong;
  if (header.size() > 1 && header[1] != 3) return wrong;
  if (header.size() < kRecordHeader) return std::nullopt;
  const size_t size = number(header.subspan(3, 2));
  return size == 0 || size > kMaxRecord ? std::optional(Verdict::kMalformed) : std::nullopt;
}

struct Message {
  Verdict verdict = Verdict::kNeedMore;
  std::vector<uint8_t> body;  // where it is whole
};

// What is wrong with a message by what has come of it; none: nothing.
std::optional<Verdict> judge_message(const std::vector<uint8_t>& bytes) {
  if (!bytes.empty() && bytes[0] != kHello) return Verdict::kMalformed;
  if (bytes.size() < kMessageHeader) return std::nullopt;
  const size_t size = number(Bytes(bytes).subspan(1, 3));
  if (kMessageHeader + size > kMaxClientHello) return Verdict::kTooLarge;
  return bytes.size() >= kMessageHeader + size ? std::optional(Verdict::kDone) : std::nullopt;
}

Message gather(Bytes bytes) {
  Message out;
  size_t records = 0;
  for (size_t at = 0; at < bytes.size(); ++records) {
    // Whoever sends it byte by byte has it read anew with each of them.
    if (records == kMaxHelloRecords) return {Verdict::kTooLarge, {}};
    const Bytes header = bytes.subspan(at, std::min(kRecordHeader, bytes.size() - at));
    if (const auto wrong = judge_record(header, at == 0)) return {*wrong, {}};
    if (header.size() < kRecordHeader) break;
    at += kRecordHeader;
    const size_t size = std::min(number(header.subspan(3, 2)), bytes.size() - at);
    const Bytes part = bytes.subspan(at, size);
    out.body.insert(out.body.end(), part.begin(), part.end());
    at += size;
    if (const auto verdict = judge_message(out.body)) {
      out.verdict = *verdict;
      return out;
    }
  }
  if (bytes.size() >= kMaxHelloBytes) out.verdict = Verdict::kTooLarge;
  return out;
}

// The one host name of the list; none: the list is not one, or has two.
std::optional<std::string> host_name(Bytes extension) {
  Cursor outer(extension);
  const auto list = outer.take_sized(2);
  if (!list || !outer.empty() || list->empty()) return std::nullopt;
  std::string out;
  for (Cursor names(*list); !names.empty();) {
    const auto type = names.take_number(1);
    const auto name = names.take_sized(2);
    if (!type || !name || name->empty()) return std::nullopt;
    if (*type != kHostName) continue;
    if (!out.empty()) return std::nullopt;
    out.assign(name->begin(), name->end());
  }
  return out;
}

// A name is compared without regard to case, and a zero byte within one is an old trick.
std::optional<std::string> normalised(std::string name) {
  for (char& c : name) {
    if (static_cast<unsigned char>(c) <= ' ' || static_cast<unsigned char>(c) >= 0x7f) {
      return std::nullopt;
    }
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (name == ".") return std::nullopt;
  if (name.ends_with('.')) name.pop_back();
  if (name.size() > kMaxName) return std::nullopt;
  return name;
}

// Up to the extensions: version and random, session, ciphers, compressions.
bool skip_fixed_part(Cursor& body) {
  return body.take(2 + 32) && body.take_sized(1) && body.take_sized(2) && body.take_sized(1);
}

// None: it is malformed. A client without extensions names nobody.
std::optional<std::string> server_name(Bytes message) {
  Cursor body(message);
  if (!skip_fixed_part(body)) return std::nullopt;
  if (body.empty()) return std::string();
  const auto extensions = body.take_sized(2);
  if (!extensions || !body.empty()) return std::nullopt;
  std::optional<std::string> out;
  for (Cursor each(*extensions); !each.empty();) {
    const auto type = each.take_number(2);
    const auto extension = each.take_sized(2);
    if (!type || !extension) return std::nullopt;
    if (*type != kServerName) continue;
    if (out) return std::nullopt;  // two of them: who looks at the other one would serve another
    out = host_name(*extension);
    if (!out) return std::nullopt;
  }
  return normalised(out.value_or(""));
}

}  // namespace

ClientHello parse_client_hello(std::span<const uint8_t> bytes) {
  const Message message = gather(bytes);
  if (message.verdict != Verdict::kDone) return {message.verdict, {}};
  const size_t size = number(Bytes(message.body).subspan(1, 3));
  auto name = server_name(Bytes(message.body).subspan(kMessageHeader, size));
  if (!name) return {Verdict::kMalformed, {}};
  return {Verdict::kDone, std::move(*name)};
}

}  // namespace lb::proxy
