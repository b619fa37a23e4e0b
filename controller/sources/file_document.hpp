// What a configuration file says: the schema of the wire with shorthands for people.
//
//   services:
//     - name: web                          # the key becomes file/web
//       listen: 127.0.0.1:8080             # or a list; addresses x ports
//       backends: ["127.0.0.1:4000", "web1:80"]
//     - name: shop
//       listen: 127.0.0.1:8081
//       groups:                            # shares of its clients
//         - {name: old, weight: 90, backends: "127.0.0.1:4001, 127.0.0.1:4002"}
//         - {name: new, weight: 10, service: kubernetes/shop/web, port: 80}  # of another source
//
//     - name: secure
//       listen: 127.0.0.1:8443
//       backends: "127.0.0.1:4000"
//       tls: {certificates: [web.pem, {certificate: shop.crt, key: shop.key}]}
//
// Any service may use the long form (key, addresses, ports) instead; a backend is a string or the
// wire's object; a list may be written as one string with commas (so that a variable can hold it).
// Backends by name stay by name here: whoever owns a resolver turns them into
// addresses, the wire stays numeric; certificates are paths, whoever reads files gives them. Pure;
// any thread; never throws.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/result.hpp"
#include "common/model/state.hpp"
#include "controller/core/source_service.hpp"
#include "controller/sources/interpolate.hpp"

namespace lb::sources {

// A backend whose host has to be asked for; it belongs to the ports of `key` that
// have this number and protocol.
struct NamedBackend {
  std::string key;
  uint16_t service_port = 0;
  std::string host;
  uint16_t port = 0;
  std::string group = {};
  Protocol protocol = Protocol::kTcp;

  bool operator==(const NamedBackend&) const = default;
};

// A group of which another service has the backends.
struct NamedGroup {
  std::string key;
  plan::Join join;

  bool operator==(const NamedGroup&) const = default;
};

// The files of one certificate, which has a name on the wire.
struct CertificateFiles {
  std::string certificate;  // a path: absolute, where the layer says where it is
  std::string key;          // likewise; the same where one file holds both; empty: authorities
  std::string file;         // the configuration file that names it first; empty: there is only one
  std::string pointer;      // there
  std::string place;        // " at line L, column C"

  bool operator==(const CertificateFiles& other) const {  // wherever it stands
    return certificate == other.certificate && key == other.key;
  }
};

struct FileDocument {
  std::vector<Service> services;  // normalised; without the backends by name
  std::vector<NamedBackend> named;
  std::vector<NamedGroup> joined;
  std::map<std::string, CertificateFiles> certificates;  // by name: "file/" and the path

  bool operator==(const FileDocument&) const = default;
};

struct FileLayer {
  std::string path;  // for messages; empty: there is only one
  std::string text;
  std::string folder = {};  // what its relative paths are relative to; empty: they stay as they are

  bool operator==(const FileLayer&) const = default;
};

// Each layer is laid over those before it (see layers.hpp); values of `environment` are put in,
// where there is one. The error's message begins with the path of the layer that is wrong and ends
// with "at line L, column C"; its pointer names the field.
Result<FileDocument> parse_file_layers(const std::vector<FileLayer>& layers,
                                       const Environment& environment);

// One file, by itself, as it stands.
Result<FileDocument> parse_file_document(std::string_view text);

// Adds what the names stand for to the services that name them; a name without an answer adds
// nothing, an address that is there already is not added twice. `services` stay normalised.
void add_resolved(std::vector<Service>& services, const std::vector<NamedBackend>& named,
                  const std::map<std::string, std::vector<IpAddress>>& addresses);

}  // namespace lb::sources
