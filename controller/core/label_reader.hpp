// Ports that are asked for by labels: empalme.tcp.<port>.<field>, empalme.udp.<port>.<field>.
//
// What the sources have in common that serve whoever asks for it. <field> is target, address,
// weight, match.names, match.sources, health.* or policy.*, the last two as in the policy schema
// ("policy.connect-timeout-ms", "health.path"). Pure; any thread. What cannot be read is a Problem
// that names the subject and the label, and the rest stands; where that would let in more than was
// asked for, the port is left out.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/state.hpp"
#include "controller/core/backends.hpp"

namespace lb::plan {

struct LabelledPort {
  uint16_t port = 0;  // of the listener
  Protocol protocol = Protocol::kTcp;
  uint16_t target = 0;               // of the backend
  std::vector<IpAddress> addresses;  // of the listener: sorted, none twice, at least one
  uint16_t weight = 1;
  Policy policy;
  Match match;

  std::string name() const { return std::string(to_string(protocol)) + "-" + std::to_string(port); }
  bool operator==(const LabelledPort&) const = default;
};

inline constexpr char kEnableLabel[] = "empalme.enable";

class LabelReader {
 public:
  using Labels = std::map<std::string, std::string>;

  struct Options {
    std::string subject;              // "container web"
    std::string word;                 // what its labels are called
    std::vector<std::string> others;  // known labels of ours that are about no port
    uint16_t target = 0;              // where no label says; 0: the listener's port
    uint16_t weight = 1;              // likewise
  };

  explicit LabelReader(Options options) : options_(std::move(options)) {}

  // True: serve it. A word that is neither yes nor no is told of, and closes.
  bool asks(const std::string& enable);
  // The fields of ports; what is unknown is told of.
  void gather(const Labels& labels);
  void add_target(uint16_t port, const std::string& label, const std::string& target);
  bool empty() const { return fields_.empty(); }
  void problem(const std::string& label, const std::string& why) { problem(label, why, nullptr); }
  // What was gathered, once.
  std::vector<LabelledPort> take_ports();
  std::vector<Problem> take_problems() { return std::move(problems_); }

 private:
  using PortKey = std::pair<Protocol, uint16_t>;
  struct Field {
    std::string label;
    std::string name;  // with dashes
    std::string text;
  };

  bool gather_port(const std::string& label, const std::string& text);
  void read_port(const PortKey& key, const std::vector<Field>& fields);
  void read_field(const Field& field);
  void read_target(const Field& field);
  void read_addresses(const Field& field);
  void read_weight(const Field& field);
  void read_policy(const Field& field, const std::string& name);
  void refuse(const Field& field, const std::string& why, bool guard);
  void problem(const std::string& label, const std::string& why, const LabelledPort* port);

  const Options options_;
  std::map<PortKey, std::vector<Field>> fields_;
  std::vector<LabelledPort> ports_;
  std::vector<Problem> problems_;
  LabelledPort port_;
  bool served_ = true;  // port_
  bool open_ = true;    // any port at all
};

// Yes or no, as people write it in labels.
std::optional<bool> parse_flag(std::string_view text);
// 1 to 65535.
std::optional<uint16_t> parse_port(std::string_view text);
// Whether keys may be made of it.
bool is_key_part(std::string_view text);
std::string lower_case(std::string_view text);

}  // namespace lb::plan
