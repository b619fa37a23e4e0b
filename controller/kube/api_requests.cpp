#include "controller/kube/api_requests.hpp"

#include "common/model/json.hpp"

namespace lb::kube {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kComponent[] = "empalme-controller";
constexpr size_t kMaxMessage = 1024;  // the API's own limit

std::string of_namespace(const std::string& ns, const char* resource) {
  return "/api/v1/namespaces/" + ns + "/" + resource;
}

}  // namespace

net::HttpRequest patch_service(const plan::ServicePatch& patch, const std::string& now) {
  return {
      "PATCH",
      of_namespace(patch.ns, "services/") + patch.name + "/status?fieldManager=" + kComponent,
      {{"Content-Type", "application/strategic-merge-patch+json"}, {"Accept", "application/json"}},
      encode_service_patch(patch, now)};
}

net::HttpRequest patch_pool_status(const std::string& name, const plan::PoolStatus& status) {
  return {"PATCH",
          std::string(kAddressPools) + "/" + name + "/status?fieldManager=" + kComponent,
          {{"Content-Type", "application/merge-patch+json"}, {"Accept", "application/json"}},
          encode_pool_status(status)};
}

std::string version_in(const net::HttpResponse& response) {
  const Json body = Json::parse(response.body, nullptr, false);
  if (!body.is_object()) return {};
  const auto meta = body.find("metadata");
  if (meta == body.end() || !meta->is_object()) return {};
  const auto version = meta->find("resourceVersion");
  return version != meta->end() && version->is_string() ? version->get<std::string>() : "";
}

net::HttpRequest create_event(const EventTarget& service, const plan::PlannedEvent& event,
                              const std::string& now, const std::string& id) {
  const Json body{{"apiVersion", "v1"},
                  {"kind", "Event"},
                  {"metadata", {{"name", service.name + "." + id}, {"namespace", service.ns}}},
                  {"involvedObject",
                   {{"apiVersion", "v1"},
                    {"kind", "Service"},
                    {"namespace", service.ns},
                    {"name", service.name},
                    {"uid", service.uid}}},
                  {"type", event.warning ? "Warning" : "Normal"},
                  {"reason", event.reason},
                  {"message", event.message.substr(0, kMaxMessage)},
                  {"firstTimestamp", now},
                  {"lastTimestamp", now},
                  {"count", 1},
                  {"source", {{"component", kComponent}}},
                  {"reportingComponent", kComponent}};
  return {"POST",
          of_namespace(service.ns, "events"),
          {{"Content-Type", "application/json"}},
          body.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

}  // namespace lb::kube
