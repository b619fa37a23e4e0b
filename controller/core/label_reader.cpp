#include "controller/core/label_reader.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include "controller/core/annotations.hpp"
#include "controller/core/text.hpp"
#include "controller/core/tls_annotations.hpp"

namespace lb::plan {
namespace {

constexpr std::string_view kOurs = "empalme.";
constexpr std::string_view kNowhere = "none";  // as an address
constexpr size_t kMaxPart = 200;               // so that a key stays within what the wire takes

std::optional<uint16_t> parse_number(std::string_view text) {
  uint16_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

// Whether a field limits who is served, and how much; `field` with dashes.
bool guards(std::string_view field) {
  const std::string_view last = field.substr(std::min(field.rfind('.') + 1, field.size()));
  return last == "source-ranges" || last == "deny-ranges" || last.starts_with("max-") ||
         last.starts_with("match") || field.find("match.") != std::string_view::npos ||
         is_tls_field(field);
}

std::string dashed(std::string_view field) {
  std::string out(field);
  std::ranges::replace(out, '_', '-');
  return out;
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

std::optional<bool> parse_flag(std::string_view text) {
  const std::string word = lower_case(trimmed(text));
  if (word == "true" || word == "1") return true;
  if (word == "false" || word == "0") return false;
  return std::nullopt;
}

std::optional<uint16_t> parse_port(std::string_view text) {
  const auto out = parse_number(text);
  return out && *out != 0 ? out : std::nullopt;
}

// '@' is what the keys of a service with several address lists are told apart by.
bool is_key_part(std::string_view text) {
  const auto plain = [](char c) { return c > ' ' && c < '\x7f' && c != '@'; };
  return !text.empty() && text.size() <= kMaxPart && std::ranges::all_of(text, plain);
}

bool LabelReader::asks(const std::string& enable) {
  const auto flag = parse_flag(enable);
  if (flag) return *flag;
  problem(kEnableLabel, "takes true or false, not '" + enable + "': nothing is served");
  open_ = false;
  return true;
}

void LabelReader::gather(const Labels& labels) {
  for (auto it = labels.lower_bound(std::string(kOurs));
       it != labels.end() && it->first.starts_with(kOurs); ++it) {
    const std::string& label = it->first;
    if (label == kEnableLabel || std::ranges::count(options_.others, label) > 0) continue;
    if (gather_port(label, it->second)) continue;
    problem(label, "is no " + options_.word + " that is known");
    if (guards(dashed(label))) open_ = false;
  }
}

// "empalme.tcp.80.policy.balance"
bool LabelReader::gather_port(const std::string& label, const std::string& text) {
  std::string_view rest = std::string_view(label).substr(kOurs.size());
  const bool udp = rest.starts_with("udp.");
  if (!udp && !rest.starts_with("tcp.")) return false;
  rest.remove_prefix(4);
  const size_t dot = rest.find('.');
  if (dot == std::string_view::npos) return false;
  const auto port = parse_port(rest.substr(0, dot));
  if (!port || std::to_string(*port) != rest.substr(0, dot)) return false;
  const PortKey key{udp ? Protocol::kUdp : Protocol::kTcp, *port};
  fields_[key].push_back({label, dashed(rest.substr(dot + 1)), trimmed(text)});
  return true;
}

void LabelReader::add_target(uint16_t port, const std::string& label, const std::string& target) {
  fields_[{Protocol::kTcp, port}].push_back({label, "target", target});
}

std::vector<LabelledPort> LabelReader::take_ports() {
  for (const auto& [key, fields] : fields_) read_port(key, fields);
  if (!open_) ports_.clear();
  return std::move(ports_);
}

void LabelReader::read_port(const PortKey& key, const std::vector<Field>& fields) {
  port_ = LabelledPort{};
  port_.protocol = key.first;
  port_.port = key.second;
  port_.target = options_.target == 0 ? key.second : options_.target;
  port_.weight = options_.weight;
  port_.addresses = {IpAddress::parse("0.0.0.0").value()};
  served_ = true;
  for (const Field& field : fields) read_field(field);
  if (served_) ports_.push_back(port_);
}

void LabelReader::read_field(const Field& field) {
  if (field.name == "target") return read_target(field);
  if (field.name == "address") return read_addresses(field);
  if (field.name == "weight") return read_weight(field);
  constexpr std::string_view kPolicy = "policy.";
  if (field.name.starts_with(kPolicy)) {
    return read_policy(field, field.name.substr(kPolicy.size()));
  }
  for (const char* group : {"health.", "match."}) {
    if (field.name.starts_with(group)) return read_policy(field, field.name);
  }
  refuse(field, "is no " + options_.word + " that is known", guards(field.name));
}

// Another port than the one that was meant may be one that is not to be reached.
void LabelReader::read_target(const Field& field) {
  const auto target = parse_port(field.text);
  if (!target) return refuse(field, "is no port: '" + field.text + "'", true);
  port_.target = *target;
}

// Neither may the default address stand for one that cannot be read.
void LabelReader::read_addresses(const Field& field) {
  if (lower_case(field.text) == kNowhere) return port_.addresses.clear();
  std::set<IpAddress> out;
  for (const auto& text : split_list(field.text)) {
    const auto address = IpAddress::parse(text);
    if (!address) return refuse(field, address.error().message, true);
    out.insert(*address);
  }
  if (out.empty()) return refuse(field, "names no address", true);
  port_.addresses.assign(out.begin(), out.end());
}

void LabelReader::read_weight(const Field& field) {
  const auto weight = parse_number(field.text);
  if (!weight) return refuse(field, "takes 0 to 65535, not '" + field.text + "'", false);
  port_.weight = *weight;
}

void LabelReader::read_policy(const Field& field, const std::string& name) {
  if (is_tls_field(name)) return refuse(field, "is for Kubernetes only", true);
  // What a variable that is not set leaves would let everybody in.
  if (field.text.empty() && guards(name)) return refuse(field, "is empty", true);
  const std::string annotation = kAnnotationPrefix + ("port." + port_.name()) + "." + name;
  std::vector<ServicePort> ports(1);
  ports[0].name = port_.name();
  ports[0].port = port_.port;
  ports[0].protocol = port_.protocol;
  ports[0].policy = port_.policy;
  ports[0].match = port_.match;
  Policy unused;
  std::vector<Problem> problems;
  ObjectMeta meta;
  meta.annotations = {{annotation, field.text}};
  apply_annotations(meta, unused, ports, problems);
  for (const Problem& found : problems) {
    refuse(field, found.message.substr(std::min(annotation.size() + 2, found.message.size())),
           found.blocks);
  }
  port_.policy = std::move(ports[0].policy);
  port_.match = std::move(ports[0].match);
}

void LabelReader::refuse(const Field& field, const std::string& why, bool guard) {
  problem(field.label, why + (guard ? "; the port is not served here" : ""), &port_);
  if (guard) served_ = false;
}

void LabelReader::problem(const std::string& label, const std::string& why,
                          const LabelledPort* port) {
  problems_.push_back({"InvalidLabel", options_.subject + ": " + label + ": " + why,
                       port == nullptr ? uint16_t{0} : port->port,
                       port == nullptr ? "" : to_string(port->protocol)});
}

}  // namespace lb::plan
