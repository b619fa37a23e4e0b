#include "controller/kube/credentials.hpp"

#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "controller/kube/base64.hpp"

namespace lb::kube {
namespace {

constexpr std::chrono::seconds kTokenLife{60};
constexpr char kServiceAccount[] = "/var/run/secrets/kubernetes.io/serviceaccount";

Result<std::string> read_file(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return Error{"Credentials", file + ": " + std::strerror(errno)};
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::string without_blanks(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') out += c;
  }
  return out;
}

std::string text_of(const YAML::Node& node, const char* name) {
  const YAML::Node value = node[name];
  return value && value.IsScalar() ? value.as<std::string>() : std::string{};
}

// One kubeconfig while it is read; any refusal names the file.
class Kubeconfig {
 public:
  Kubeconfig(std::string file, YAML::Node root) : file_(std::move(file)), root_(std::move(root)) {}

  Result<ClusterAccess> access() const {
    const std::string current = text_of(root_, "current-context");
    if (current.empty()) return refuse("has no current-context");
    const auto context = named("contexts", current, "context");
    if (!context) return refuse("has no context '" + current + "'");
    const auto cluster = named("clusters", text_of(*context, "cluster"), "cluster");
    if (!cluster) return refuse("context '" + current + "' names no cluster that is there");
    ClusterAccess out;
    if (const auto read = read_cluster(*cluster, out); !read) return read.error();
    const auto user = named("users", text_of(*context, "user"), "user");
    if (user) {
      if (const auto read = read_user(*user, out); !read) return read.error();
    }
    return out;
  }

 private:
  Error refuse(const std::string& what) const { return {"Credentials", file_ + " " + what}; }

  std::optional<YAML::Node> named(const char* list, const std::string& name,
                                  const char* part) const {
    const YAML::Node items = root_[list];
    if (!items || !items.IsSequence()) return std::nullopt;
    for (const auto& item : items) {
      if (item.IsMap() && text_of(item, "name") == name && item[part] && item[part].IsMap()) {
        return item[part];
      }
    }
    return std::nullopt;
  }

  // "certificate-authority" names a file, "certificate-authority-data" is the thing in base64.
  Result<Secret> secret(const YAML::Node& node, const std::string& name) const {
    const std::string data = text_of(node, (name + "-data").c_str());
    if (!data.empty()) {
      auto decoded = decode_base64(data);
      if (!decoded) return refuse(name + "-data is not base64");
      return Secret{std::move(*decoded), {}};
    }
    return Secret{{}, resolved(text_of(node, name.c_str()))};
  }

  std::string resolved(const std::string& name) const {
    if (name.empty() || name.front() == '/') return name;
    return (std::filesystem::path(file_).parent_path() / name).string();
  }

  Status read_cluster(const YAML::Node& cluster, ClusterAccess& out) const {
    out.server = text_of(cluster, "server");
    while (out.server.ends_with('/')) out.server.pop_back();
    if (!out.server.starts_with("http://") && !out.server.starts_with("https://")) {
      return refuse("has no usable server URL for its current cluster");
    }
    auto ca = secret(cluster, "certificate-authority");
    if (!ca) return ca.error();
    out.ca = std::move(ca).value();
    out.insecure = text_of(cluster, "insecure-skip-tls-verify") == "true";
    return Done{};
  }

  Status read_user(const YAML::Node& user, ClusterAccess& out) const {
    if (user["exec"] || user["auth-provider"]) {
      return refuse(
          "uses a credential plug-in, which is not supported: give a token or a client "
          "certificate");
    }
    auto certificate = secret(user, "client-certificate");
    if (!certificate) return certificate.error();
    auto key = secret(user, "client-key");
    if (!key) return key.error();
    out.client_certificate = std::move(certificate).value();
    out.client_key = std::move(key).value();
    out.token = {text_of(user, "token"), resolved(text_of(user, "tokenFile"))};
    return Done{};
  }

  std::string file_;
  YAML::Node root_;
};

}  // namespace

Result<std::string> Credentials::read(const Secret& secret) {
  if (secret.file.empty()) return secret.text;
  return read_file(secret.file);
}

std::string Credentials::token() {
  const std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (!token_.empty() && now - read_at_ < kTokenLife) return token_;
  const auto fresh = read(access_.token);
  // A token that cannot be read for a moment (it is being replaced) may still be good.
  if (fresh) token_ = without_blanks(*fresh);
  read_at_ = now;
  return token_;
}

void Credentials::refused() {
  const std::lock_guard lock(mutex_);
  read_at_ = {};
}

Result<ClusterAccess> in_cluster_access(const std::string& folder, const std::string& host,
                                        const std::string& port) {
  ClusterAccess out;
  // cpprestsdk cannot take an IPv6 literal; the name has the same address in every cluster.
  const bool v6 = host.find(':') != std::string::npos;
  out.server = "https://" + (v6 ? std::string("kubernetes.default.svc") : host) + ":" + port;
  out.ca.file = folder + "/ca.crt";
  out.token.file = folder + "/token";
  for (const auto& file : {out.ca.file, out.token.file}) {
    if (const auto text = read_file(file); !text) return text.error();
  }
  return out;
}

Result<ClusterAccess> kubeconfig_access(const std::string& file) {
  const auto text = read_file(file);
  if (!text) return text.error();
  try {
    const YAML::Node root = YAML::Load(*text);
    if (!root.IsMap()) return Error{"Credentials", file + " is no kubeconfig"};
    return Kubeconfig(file, root).access();
  } catch (const YAML::Exception& error) {
    // The parser's own message may quote the line, and the line may be a secret.
    return Error{"Credentials",
                 file + " is not valid YAML at line " + std::to_string(error.mark.line + 1)};
  }
}

Result<ClusterAccess> find_access(const std::string& kubeconfig) {
  if (!kubeconfig.empty()) return kubeconfig_access(kubeconfig);
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (host != nullptr && port != nullptr && std::filesystem::exists(kServiceAccount)) {
    return in_cluster_access(kServiceAccount, host, port);
  }
  if (const char* named = std::getenv("KUBECONFIG"); named != nullptr && *named != '\0') {
    return kubeconfig_access(named);
  }
  const char* home = std::getenv("HOME");
  return kubeconfig_access(std::string(home == nullptr ? "" : home) + "/.kube/config");
}

}  // namespace lb::kube
