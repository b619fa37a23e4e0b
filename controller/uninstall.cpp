#include "controller/uninstall.hpp"

#include <chrono>
#include <ostream>
#include <thread>

#include "common/model/json.hpp"
#include "common/ops/utc_time.hpp"
#include "controller/core/plan.hpp"
#include "controller/kube/api_requests.hpp"
#include "controller/kube/credentials.hpp"
#include "controller/kube/http_client_cpprest.hpp"
#include "controller/kube/item.hpp"

namespace lb::controller {
namespace {

using nlohmann::json;

constexpr int kDone = 0;
constexpr int kLeft = 1;
constexpr int kUnreachable = 2;
constexpr char kSelector[] = "labelSelector=app.kubernetes.io/name%3Dempalme";

class Uninstaller {
 public:
  Uninstaller(const UninstallOptions& options, std::ostream& out, std::ostream& problems)
      : options_(options), out_(out), problems_(problems) {}

  int run() {
    stop_deployments();
    auto services = items("/api/v1/services");
    if (!services) return kUnreachable;
    size_t freed = 0, left = 0;
    for (auto& service : *services) {
      const auto object = plan::decode_service(kube::item_of(service).json);
      if (!object || marks(*object).empty()) continue;
      (free_one(*object, marks(*object)) ? freed : left) += 1;
    }
    out_ << freed << (freed == 1 ? " Service" : " Services") << " freed";
    if (left > 0) out_ << ", " << left << " could not be";
    out_ << ".\n";
    advise();
    return left == 0 ? kDone : kLeft;
  }

 private:
  // The finalizers of ours, of whatever class.
  static std::vector<std::string> marks(const plan::ServiceObject& service) {
    std::vector<std::string> out;
    for (const auto& name : service.meta.finalizers) {
      if (plan::is_our_finalizer(name)) out.push_back(name);
    }
    return out;
  }

  Result<json> get(const std::string& target) {
    const auto answer =
        options_.client.request({"GET", target, {{"Accept", "application/json"}}, {}});
    if (!answer) return answer.error();
    json body = json::parse(answer->body, nullptr, false);
    if (answer->status != 200 || !body.is_object()) {
      return Error{"Refused", target + ": HTTP " + std::to_string(answer->status) +
                                  (body.is_object() ? ": " + body.value("message", "") : "")};
    }
    return body;
  }

  std::optional<json> items(const std::string& target) {
    auto body = get(target);
    if (body) return body->value("items", json::array());
    problems_ << body.error().message << "\n";
    return std::nullopt;
  }

  // A controller that still runs would mark the Services again as soon as they are free.
  void stop_deployments() {
    const auto all = items(std::string("/apis/apps/v1/deployments?") + kSelector);
    if (!all) return;
    for (const auto& deployment : *all) {
      const std::string ns = deployment["metadata"].value("namespace", "");
      const std::string name = deployment["metadata"].value("name", "");
      const std::string target = "/apis/apps/v1/namespaces/" + ns + "/deployments/" + name;
      out_ << "Stopping deployment " << ns << "/" << name << " ...\n" << std::flush;
      const auto answer =
          options_.client.request({"PATCH",
                                   target,
                                   {{"Content-Type", "application/merge-patch+json"}},
                                   R"({"spec":{"replicas":0}})"});
      if (!answer || answer->status != 200) {
        problems_ << ns << "/" << name << " could not be stopped: it will mark Services again\n";
        continue;
      }
      await_end(ns);
    }
  }

  void await_end(const std::string& ns) {
    for (unsigned look = 0; look < options_.patience; ++look) {
      const auto pods = get("/api/v1/namespaces/" + ns + "/pods?" + kSelector);
      if (pods && pods->value("items", json::array()).empty()) return;
      options_.pause();
    }
    problems_ << "pods of namespace " << ns << " have not ended yet\n";
  }

  bool free_one(const plan::ServiceObject& service, const std::vector<std::string>& finalizers) {
    // A world in which no Service is ours is one in which all of ours are torn down.
    plan::World world;
    world.settings.load_balancer_class.clear();
    world.settings.finalizer = finalizers.front();
    const std::string key = plan::kubernetes_key(service.meta.ns, service.meta.name);
    world.services[key] = plan::from_kubernetes(service, {});
    world.services[key].kube->deleting = true;
    plan::Allocator nothing;
    const auto planned = plan_service(world, nothing, key);
    const std::string name = service.meta.ns + "/" + service.meta.name;
    if (!planned.patch) return true;
    plan::ServicePatch patch = *planned.patch;
    patch.remove_finalizers.insert(patch.remove_finalizers.end(), finalizers.begin() + 1,
                                   finalizers.end());
    const auto answer = options_.client.request(kube::patch_service(patch, ops::utc_seconds()));
    const bool good = answer && (answer->status == 200 || answer->status == 404);
    if (good) {
      out_ << "freed " << name << "\n";
    } else {
      problems_ << name << ": "
                << (answer ? "HTTP " + std::to_string(answer->status) : answer.error().message)
                << "; run uninstall again\n";
    }
    return good;
  }

  void advise() {
    out_ << "Now delete what you applied, for example: kubectl delete -f manifests/minikube.yaml\n"
            "Each node that ran the data plane keeps its last state in /var/lib/empalme; remove "
            "that folder too.\n";
  }

  const UninstallOptions& options_;
  std::ostream& out_;
  std::ostream& problems_;
};

}  // namespace

int uninstall(const UninstallOptions& options, std::ostream& out, std::ostream& problems) {
  return Uninstaller(options, out, problems).run();
}

int uninstall(const std::string& kubeconfig, std::ostream& out, std::ostream& problems) {
  auto access = kube::find_access(kubeconfig);
  if (!access) {
    problems << access.error().message << "\n";
    return kUnreachable;
  }
  if (const auto usable = kube::check_server(access->server); !usable) {
    problems << usable.error().message << "\n";
    return kUnreachable;
  }
  const auto credentials = std::make_shared<kube::Credentials>(std::move(access).value());
  const auto client = kube::make_cpprest_client(credentials, {});
  const auto pause = [] { std::this_thread::sleep_for(std::chrono::milliseconds(500)); };
  return uninstall({.client = *client, .pause = pause}, out, problems);
}

}  // namespace lb::controller
