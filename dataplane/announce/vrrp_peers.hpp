// The other machines that share our addresses: those of the flags and those of a file, which is
// read again whenever asked.
//
// Control thread. A file that cannot be used leaves the last good set as it is, is counted each
// time and reported once; its errors are those of parse_peers(), "VrrpPeers" and "Vrrp".
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>

#include "common/model/address.hpp"
#include "common/model/result.hpp"
#include "dataplane/announce/vrrp_plan.hpp"

namespace lb::announce {

class VrrpPeers {
 public:
  VrrpPeers(const VrrpFlags& flags, const IpAddress& self,
            std::function<void(const Error&)> report);

  // Whether there are others now than before.
  bool read();
  const std::set<IpAddress>& others() const { return others_; }
  uint64_t errors() const { return errors_; }

 private:
  Result<std::vector<IpAddress>> listed() const;

  const std::vector<IpAddress> always_;
  const std::string file_;  // empty: none
  const IpAddress self_;
  const std::function<void(const Error&)> report_;
  std::set<IpAddress> others_;
  std::string complaint_;  // told already
  uint64_t errors_ = 0;
};

}  // namespace lb::announce
