#include "dataplane/tls/ticket_keys.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

namespace lb::tls {

TicketKeys::~TicketKeys() { OPENSSL_cleanse(keys_.data(), sizeof keys_); }

std::optional<TicketKey> TicketKeys::newest(int64_t now_s) {
  const std::lock_guard lock(mutex_);
  if (!rotate(now_s)) return std::nullopt;
  return keys_.front();
}

std::optional<TicketKeys::Found> TicketKeys::find(const unsigned char* name, int64_t now_s) {
  const std::lock_guard lock(mutex_);
  if (!rotate(now_s)) return std::nullopt;
  for (size_t i = 0; i < count_; ++i) {
    if (std::memcmp(keys_[i].name.data(), name, keys_[i].name.size()) == 0) {
      return Found{keys_[i], i == 0};
    }
  }
  return std::nullopt;
}

// After a long silence none of the old ones is good any more.
bool TicketKeys::rotate(int64_t now_s) {
  if (count_ > 0 && now_s < made_ + kLifeSeconds) return true;
  TicketKey fresh;
  const bool made = RAND_bytes(fresh.name.data(), int(fresh.name.size())) == 1 &&
                    RAND_priv_bytes(fresh.cipher.data(), int(fresh.cipher.size())) == 1 &&
                    RAND_priv_bytes(fresh.mac.data(), int(fresh.mac.size())) == 1;
  if (!made) return false;
  const auto passed = count_ == 0 ? 0 : size_t((now_s - made_) / kLifeSeconds);
  count_ = passed > keys_.size() - 1 ? 0 : std::min(count_, keys_.size() - passed);
  std::move_backward(keys_.begin(), keys_.end() - 1, keys_.end());
  keys_.front() = fresh;
  count_ = std::min(count_ + 1, keys_.size());
  made_ = now_s;
  OPENSSL_cleanse(&fresh, sizeof fresh);
  return true;
}

}  // namespace lb::tls
