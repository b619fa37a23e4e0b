#include "controller/core/docker_labels.hpp"

#include <map>

#include "controller/core/text.hpp"

namespace lb::plan {
namespace {

using Texts = std::map<std::string, std::string>;

const std::string* find(const Texts& labels, const char* name) {
  const auto found = labels.find(name);
  return found == labels.end() ? nullptr : &found->second;
}

// "traefik.tcp.services.web.loadbalancer.server.port", in any case, as Traefik reads it.
bool is_traefik_port(const std::string& label) {
  const std::string name = lower_case(label);
  return (name.starts_with("traefik.tcp.services.") ||
          name.starts_with("traefik.http.services.")) &&
         name.ends_with(".loadbalancer.server.port");
}

class Reader {
 public:
  explicit Reader(const Container& container)
      : container_(container),
        labels_(container.labels),
        reader_({.subject = "container " + container.name,
                 .word = "label",
                 .others = {"empalme.service", "empalme.network"}}) {}

  std::optional<ContainerLabels> run() {
    if (!asks()) return std::nullopt;
    read_identity();
    reader_.gather(labels_);
    if (reader_.empty()) gather_traefik();
    const bool none = reader_.empty();
    out_.ports = reader_.take_ports();
    if (none) {
      reader_.problem(find(labels_, kEnableLabel) != nullptr ? kEnableLabel : "traefik.enable",
                      "says yes, and no label says which port: empalme.tcp.<port>.target");
    }
    out_.problems = reader_.take_problems();
    return std::move(out_);
  }

 private:
  bool asks() {
    const auto* oneoff = find(labels_, "com.docker.compose.oneoff");
    if (oneoff != nullptr && parse_flag(*oneoff).value_or(false)) return false;
    if (const auto* ours = find(labels_, kEnableLabel)) return reader_.asks(*ours);
    const auto* other = find(labels_, "traefik.enable");
    return other != nullptr && parse_flag(*other).value_or(false);
  }

  void read_identity() {
    const auto* project = find(labels_, "com.docker.compose.project");
    const auto* service = find(labels_, "com.docker.compose.service");
    if (project != nullptr) out_.project = *project;
    const bool composed = project && service && is_key_part(*project) && is_key_part(*service);
    out_.key = "docker/" + (composed                       ? *project + "/" + *service
                            : is_key_part(container_.name) ? container_.name
                                                           : container_.id.substr(0, 12));
    const auto* named = find(labels_, "empalme.service");
    if (named != nullptr && is_key_part(*named)) {
      out_.key = "docker/" + *named;
    } else if (named != nullptr) {
      reader_.problem("empalme.service", "is no name of up to 200 visible characters without '@'");
    }
    if (const auto* network = find(labels_, "empalme.network")) out_.network = trimmed(*network);
  }

  void gather_traefik() {
    for (const auto& [label, text] : labels_) {
      if (!is_traefik_port(label)) continue;
      const auto port = parse_port(trimmed(text));
      if (port) {
        reader_.add_target(*port, label, trimmed(text));
      } else {
        reader_.problem(label, "is no port: '" + text + "'");
      }
    }
  }

  const Container& container_;
  const Texts& labels_;
  LabelReader reader_;
  ContainerLabels out_;
};

}  // namespace

std::optional<ContainerLabels> read_labels(const Container& container) {
  return Reader(container).run();
}

}  // namespace lb::plan
