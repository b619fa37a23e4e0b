#include "controller/sources/file_certificates.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace lb::sources {
namespace {

constexpr size_t kMaxFile = 1u << 20;
constexpr std::string_view kBegin = "-----BEGIN ";
constexpr std::string_view kEnd = "-----END ";

// Overwritten when it goes.
struct Texts {
  Texts() = default;
  ~Texts() { plan::wipe(pem.certificate), plan::wipe(pem.key); }
  Texts(const Texts&) = delete;
  Texts& operator=(const Texts&) = delete;

  net::SignedKey pem;
};

// The PEM blocks (RFC 7468) that are keys, or those that are not: one file may hold both. One
// without an end stays, so that it is refused.
std::string blocks_of(const std::string& text, bool keys) {
  std::string out;
  out.reserve(text.size());  // so that no part of a key is left where it grew
  for (size_t begin = text.find(kBegin); begin != std::string::npos;) {
    const size_t last = std::min(text.find(kEnd, begin), text.size());
    const size_t end = std::min(text.find('\n', last), text.size() - 1) + 1;
    const std::string label = text.substr(begin, text.find('\n', begin) - begin);
    const bool is_key = label.find("PRIVATE KEY") != std::string::npos;
    if (is_key == keys) out.append(text, begin, end - begin);
    if (out.ends_with('-')) out += '\n';
    begin = text.find(kBegin, end);
  }
  return out;
}

Status take(const std::string& path, std::string& out) {
  auto text = read_file(path);
  if (!text) return Error{"Unreadable", path + ": " + text.error().message};
  if (text->size() > kMaxFile) return Error{"Unreadable", path + ": is larger than 1 MiB"};
  out = std::move(text).value();
  return Done{};
}

Status read(const CertificateFiles& files, Texts& out) {
  Texts whole;
  std::string& first = whole.pem.certificate;
  if (const Status got = take(files.certificate, first); !got) return got;
  out.pem.certificate = blocks_of(first, false);
  if (files.key.empty()) return Done{};
  const bool both = files.key == files.certificate;
  if (!both) {
    if (const Status got = take(files.key, whole.pem.key); !got) return got;
  }
  out.pem.key = blocks_of(both ? first : whole.pem.key, true);
  if (out.pem.key.empty()) return Error{"KeyUnreadable", files.key + ": there is no PEM key"};
  return Done{};
}

Error named(const CertificateFiles& files, const Error& why) {
  const bool of_key = why.code.starts_with("Key") && !files.key.empty();
  return {why.code, (of_key ? files.key : files.certificate) + ": " + why.message};
}

Error placed(const CertificateFiles& files, Error why) {
  why.message = (files.file.empty() ? "" : files.file + ": ") + why.message + files.place;
  why.pointer = files.pointer;
  return why;
}

}  // namespace

FileCertificates::Stamps FileCertificates::stamps_of(const CertificateFiles& files,
                                                     int64_t now_s) {
  Stamps out;
  for (const std::string* path : {&files.certificate, &files.key}) {
    if (path->empty()) continue;
    const auto stamp = stamp_of(*path);
    if (!stamp || stamp->changed_s + 1 >= now_s) return {};
    out.push_back(*stamp);
  }
  return out;
}

// With thousands of them reading all for a change of one would take too long.
Status FileCertificates::update(Held& held, int64_t now_s) {
  const bool in_time = held.facts.authority || now_s < held.facts.until;
  Stamps stamps = stamps_of(held.files, now_s);
  if (!stamps.empty() && stamps == held.stamps && in_time) return Done{};
  held.stamps.clear();
  Texts texts;
  if (const Status got = read(held.files, texts); !got) return got;
  const auto& pem = texts.pem;
  const bool unchanged =
      held.good && pem.certificate == held.good->chain() && pem.key == held.good->key();
  if (!unchanged || !in_time) {
    const auto judged = net::ServerCertificate::read(pem, now_s);
    if (!judged) return named(held.files, judged.error());
    take_over(held, pem, **judged);
  }
  held.stamps = std::move(stamps);
  return Done{};
}

void FileCertificates::take_over(Held& held, const net::SignedKey& pem,
                                 const net::ServerCertificate& judged) {
  held.facts = {held.files.certificate, judged.names(), judged.validity().from,
                judged.validity().until, !judged.has_key()};
  held.good =
      std::make_shared<const plan::Certificate>(pem.certificate, pem.key, judged.fingerprint());
}

// An edit keeps what it does not touch, also where that is in trouble now.
Status FileCertificates::load(const std::map<std::string, CertificateFiles>& wanted,
                              int64_t now_s) {
  std::map<std::string, Held> next;
  plan::CertificateTroubles troubles;
  for (const auto& [name, files] : wanted) {
    const auto known = held_.find(name);
    const bool same = known != held_.end() && known->second.files == files;
    Held& held = next[name];
    if (same) held = known->second;
    held.files = files;
    const Status good = update(held, now_s);
    if (good) continue;
    if (!held.good) return placed(files, good.error());
    troubles.emplace(name, good.error());
  }
  held_ = std::move(next);
  troubles_ = std::move(troubles);
  return Done{};
}

bool FileCertificates::refresh(int64_t now_s) {
  bool news = false;
  plan::CertificateTroubles troubles;
  for (auto& [name, held] : held_) {
    const auto before = held.good;
    const Status good = update(held, now_s);
    if (!good) troubles.emplace(name, good.error());
    news = news || held.good != before;
  }
  return std::exchange(troubles_, troubles) != troubles || news;
}

plan::Certificates FileCertificates::all() const {
  plan::Certificates out;
  for (const auto& [name, held] : held_) out.emplace(name, held.good);
  return out;
}

std::map<std::string, CertificateFacts> FileCertificates::facts() const {
  std::map<std::string, CertificateFacts> out;
  for (const auto& [name, held] : held_) out.emplace(name, held.facts);
  return out;
}

}  // namespace lb::sources
