#include "controller/core/privilege.hpp"

namespace lb::plan {
namespace {

struct Privilege {
  const char* field;
  bool (*used)(const Policy&);
  void (*withhold)(Policy&);
};

constexpr Privilege kPrivileges[] = {
    {"accept_proxy_from", [](const Policy& p) { return !p.accept_proxy_from.empty(); },
     [](Policy& p) { p.accept_proxy_from.clear(); }},
    {"busy_poll_us", [](const Policy& p) { return p.busy_poll_us != 0; },
     [](Policy& p) { p.busy_poll_us = 0; }},
    {"congestion", [](const Policy& p) { return !p.congestion.empty(); },
     [](Policy& p) { p.congestion.clear(); }},
};

bool withhold(const Privilege& privilege, Policy& policy) {
  if (!privilege.used(policy)) return false;
  privilege.withhold(policy);
  return true;
}

}  // namespace

void withhold_privileges(Service& service, const std::string& ns,
                         const std::set<std::string>& allowed, std::vector<Problem>& problems) {
  if (allowed.contains(ns) || allowed.contains("*")) return;
  for (const Privilege& privilege : kPrivileges) {
    bool used = withhold(privilege, service.policy);
    for (auto& port : service.ports) used = withhold(privilege, port.policy) || used;
    if (!used) continue;
    problems.push_back({"PolicyNotAllowed",
                        std::string(privilege.field) +
                            " is not allowed in this namespace: the administrator names those in "
                            "which it is by --allow-privileged-policy"});
  }
}

}  // namespace lb::plan
