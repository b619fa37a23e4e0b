#include "dataplane/certificates.hpp"

#include <algorithm>
#include <ctime>
#include <utility>

#include "common/model/state_json.hpp"
#include "dataplane/certificates_json.hpp"

namespace lb::dataplane {
namespace {

net::HttpResponse error_response(int status, const Error& error) {
  return net::json_response(status, encode_error(error));
}

// Those of the codec have a status of their own; what is wrong with a certificate is a 422.
int status_of(const Error& error) {
  const bool codec = error.code == "Syntax" || error.code == "TooLarge" || error.code == "TooDeep";
  return codec ? http_status(error) : 422;
}

std::filesystem::path keys_folder(const Config& config) {
  if (!config.keys_dir.empty()) return config.keys_dir;
  if (config.persist_keys) return std::filesystem::path(config.state_dir) / "keys";
  const auto* socket = std::get_if<net::UnixPath>(&config.admin);
  if (socket == nullptr) return {};
  return socket->path + ".keys";
}

bool is_named(const DesiredState& state, const std::string& name) {
  return std::any_of(state.services.begin(), state.services.end(), [&](const Service& service) {
    return std::any_of(service.ports.begin(), service.ports.end(), [&](const ServicePort& port) {
      if (port.tls.mode != TlsMode::kTerminate) return false;
      const auto names = certificates_of(port.tls);
      return std::binary_search(names.begin(), names.end(), name);
    });
  });
}

}  // namespace

Certificates::Certificates(std::shared_ptr<tls::CertificateBook> book,
                           std::optional<tls::KeyFolder> folder, Report report)
    : book_(std::move(book)), folder_(std::move(folder)), report_(std::move(report)) {
  if (!folder_) return;
  for (const auto& [name, text] : folder_->load(report_)) {
    const auto good = book_->put(name, text, std::time(nullptr));
    if (good) continue;
    report_({good.error().code, name + ": " + good.error().message});
    // One that was served goes on being served, as without a restart.
    (void)book_->put(name, text, net::ServerCertificate::kAnyTime);
  }
}

bool Certificates::owns(std::string_view path) {
  return path == kPath || (path.starts_with(kPath) && path[kPath.size()] == '/');
}

void Certificates::handle(const net::HttpRequest& request, std::string_view path,
                          Coordinator& coordinator, Respond respond) {
  if (path == kPath) {
    if (request.method == "GET" || request.method == "HEAD") {
      return respond(net::json_response(200, encode_certificates(book_->all())));
    }
    return respond(error_response(405, {"MethodNotAllowed", "this call takes GET"}));
  }
  const std::string name(path.substr(kPath.size() + 1));
  if (const Status good = check_certificate_name(name); !good) {
    return respond(error_response(422, good.error()));
  }
  if (request.method == "PUT") return put(name, request.body, coordinator, respond);
  if (request.method == "DELETE") return remove(name, coordinator, respond);
  respond(error_response(405, {"MethodNotAllowed", "this call takes PUT, DELETE"}));
}

void Certificates::put(const std::string& name, const std::string& body, Coordinator& coordinator,
                       const Respond& respond) {
  const auto text = decode_certificate(body);
  const auto taken = text ? book_->put(name, *text, std::time(nullptr)) : text.error();
  if (!taken) {
    ++refused_;
    report_({taken.error().code, "certificate " + name + ": " + taken.error().message});
    return respond(error_response(status_of(taken.error()), taken.error()));
  }
  if (folder_) note(folder_->save(name, *text));
  if (!is_named(*coordinator.held(), name)) {
    return respond(net::json_response(200, encode_certificate(name, **taken)));
  }
  coordinator.apply_again([respond, name, certificate = *taken](const Result<ApplyResult>& done) {
    if (!done) return respond(error_response(http_status(done.error()), done.error()));
    respond(net::json_response(200, encode_certificate(name, *certificate)));
  });
}

void Certificates::remove(const std::string& name, const Coordinator& coordinator,
                          const Respond& respond) {
  if (is_named(*coordinator.held(), name)) {
    return respond(
        error_response(409, {"CertificateInUse", "the state that is held names " + name}));
  }
  book_->remove(name);
  if (folder_) note(folder_->remove(name));
  respond(net::json_response(200, "{}"));
}

void Certificates::note(const Status& saved) {
  if (saved) return;
  ++save_failures_;
  report_(saved.error());
}

// The folder that is ours by default is a convenience; one that somebody names has to do.
Result<std::unique_ptr<Certificates>> open_certificates(const Config& config,
                                                        std::shared_ptr<tls::CertificateBook> book,
                                                        Certificates::Report report) {
  const auto path = keys_folder(config);
  std::optional<tls::KeyFolder> folder;
  if (!path.empty()) {
    auto opened = tls::KeyFolder::open(path, config.persist_keys);
    const bool asked_for = !config.keys_dir.empty() || config.persist_keys;
    if (!opened && asked_for) return opened.error();
    if (opened) folder = std::move(opened).value();
  }
  return std::make_unique<Certificates>(std::move(book), std::move(folder), std::move(report));
}

}  // namespace lb::dataplane
