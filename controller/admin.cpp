#include "controller/admin.hpp"

#include "common/model/state_json.hpp"
#include "common/net/http_server.hpp"
#include "common/net/query.hpp"
#include "controller/explain.hpp"

namespace lb::controller {
namespace {

constexpr std::string_view kExplain = "/v1/explain";

net::HttpResponse refuse(int status, const char* reason, std::string message) {
  return net::json_response(status, encode_error({reason, std::move(message)}));
}

std::string service_of(std::string_view target) {
  const size_t question = std::min(target.find('?'), target.size());
  if (question == target.size()) return {};
  for (auto& [name, value] : net::parse_query(target.substr(question + 1))) {
    if (name == "service") return value;
  }
  return {};
}

}  // namespace

net::HttpResponse answer_admin(const net::HttpRequest& request, const Reconciler& reconciler,
                               const Fleet& fleet, const Observe& observe,
                               const Leader& elsewhere) {
  const std::string_view target = request.target;
  if (target.substr(0, target.find('?')) != kExplain) return observe(request);
  if (request.method != "GET") return refuse(405, "Method", "GET only");
  const std::string name = service_of(target);
  if (name.empty()) return refuse(400, "Query", "name a service: /v1/explain?service=NAME");
  const auto key = find_service(name, reconciler);
  if (!key) return refuse(404, "NotFound", "no service is called " + name);
  return net::json_response(200, explain(*key, reconciler, fleet, elsewhere));
}

}  // namespace lb::controller
