// Containers and events of the Docker Engine API, as far as services are made of them.
//
// Decodes the answer to GET /containers/json and one line of GET /events (API 1.24 and later).
// Unknown fields are ignored. An answer that is no list is an Error{"InvalidObject"}; in a list, a
// container that cannot be read is told of on its own, and costs the others nothing. Pure; any
// thread; never throws.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/address.hpp"
#include "common/model/result.hpp"

namespace lb::plan {

// What Docker's HEALTHCHECK says; kNone: the image has none.
enum class ContainerHealth : uint8_t { kNone, kStarting, kHealthy, kUnhealthy };

struct Container {
  std::string id;
  std::string name;  // without the slash that the API puts before it
  std::map<std::string, std::string> labels;
  std::string state;     // "running", "paused", "restarting", "exited", ...
  uint32_t created = 0;  // seconds since 1970
  ContainerHealth health = ContainerHealth::kNone;
  std::string network_mode;                                // "host", "container:ID", a network
  std::map<std::string, std::vector<IpAddress>> networks;  // by name; v4 first; maybe none yet

  // It has ended, or has not begun.
  bool gone() const;
  bool operator==(const Container&) const = default;
};

struct UnreadContainer {
  std::string id;  // empty where not even that can be read
  Error error;
};

struct ContainerList {
  std::vector<Container> containers;
  std::vector<UnreadContainer> unread;
};

struct ContainerEvent {
  std::string id;      // of the container
  std::string action;  // "start", "die", "kill", "health_status: healthy", ...
  std::string signal;  // of "kill": a number

  // One of the signals by which containers are asked to end, or made to.
  bool ends() const;
  // Says that what ends() said is over.
  bool begins_or_ended() const { return action == "start" || action == "die"; }
};

// As Docker makes them; they become parts of URLs and keys.
bool is_container_id(std::string_view text);

Result<ContainerList> decode_containers(std::string_view text);
// Nullopt: about nothing of which services are made.
Result<std::optional<ContainerEvent>> decode_container_event(std::string_view text);

}  // namespace lb::plan
