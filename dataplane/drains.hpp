// What operators have drained: an overlay over the desired state that outlives PUTs and restarts.
//
// Control thread only. Kept as drains.json in the state folder, written at each change (write,
// fsync, rename); without a folder it lasts as long as the process. Errors are reported, never
// thrown: a disk that fails does not keep an operator from draining. A drain of the file that
// cannot be read is left out alone; of one that a later version narrowed, what is known holds,
// since too much is better drained than too little. The file is then kept as drains.json.bad too.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <string_view>

#include "common/model/result.hpp"
#include "dataplane/proxy/data_path.hpp"

namespace lb::dataplane {

// {"service"?, "backend"?}: error "Syntax" or "Schema" with the pointer.
Result<proxy::Drain> decode_drain(std::string_view body);
// {"drains": [{"service"?, "backend"?, "connections"}]}, connections as the path counts them.
std::string encode_drains(const std::set<proxy::Drain>& drains,
                          const std::vector<proxy::ServiceStatus>& live);

class Drains {
 public:
  using Report = std::function<void(const Error&)>;

  // `folder` empty: nothing is kept.
  Drains(std::string folder, Report report);

  const std::set<proxy::Drain>& all() const { return drains_; }
  void add(proxy::Drain drain);
  void lift(const proxy::Drain& drain);
  // Replaces them all, without saving.
  void take(std::set<proxy::Drain> drains) { drains_ = std::move(drains); }

 private:
  void load();
  void load_one(const nlohmann::json& value, const std::string& pointer);
  void unreadable(const Error& error) const;
  void save() const;

  const std::string folder_;
  const Report report_;
  std::set<proxy::Drain> drains_;
};

}  // namespace lb::dataplane
