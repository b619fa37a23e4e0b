// Which Services are ours, and how they are marked as such.
#include <algorithm>
#include <cstdio>

#include "controller/core/plan.hpp"

namespace lb::plan {
namespace {

// FNV-1a: tells long class names apart where there is no room for them.
uint64_t hash_of(const std::string& text) {
  uint64_t out = 14695981039346656037ULL;
  for (const char c : text) out = (out ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return out;
}

}  // namespace

// A class is a qualified name; a finalizer's name has 63 characters at most, and no second slash.
std::string finalizer_of(const std::string& load_balancer_class) {
  if (load_balancer_class.empty() || load_balancer_class == kDefaultClass) return kFinalizer;
  constexpr size_t kRoom = 63 - sizeof("service.") + 1;
  std::string name = load_balancer_class;
  std::replace(name.begin(), name.end(), '/', '_');
  if (name.size() > kRoom) {
    char hash[20];
    std::snprintf(hash, sizeof hash, ".%016llx", static_cast<unsigned long long>(hash_of(name)));
    name = name.substr(0, kRoom - 17) + hash;
  }
  return std::string(kFinalizer) + "." + name;
}

bool is_our_finalizer(const std::string& name) {
  return name == kFinalizer || name.starts_with(std::string(kFinalizer) + ".");
}

bool owned(const KubeMeta& meta, const Settings& settings) {
  if (meta.type != "LoadBalancer" || meta.deleting) return false;
  if (!meta.load_balancer_class) return settings.claim_unclassed;
  return *meta.load_balancer_class == settings.load_balancer_class;
}

}  // namespace lb::plan
