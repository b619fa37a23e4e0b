// How to reach and convince the API server: in-cluster service account, or a kubeconfig.
//
// Any thread. Files that rotate (projected token, CA) are read again: the token at most every 60
// seconds and after refused(), the CA at each new connection. Errors say which file and what is
// missing in it; no secret ever stands in a message. Exec and auth-provider plug-ins are refused.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "common/model/result.hpp"

namespace lb::kube {

// PEM and token either as text or as the file that holds them.
struct Secret {
  std::string text;
  std::string file;

  bool empty() const { return text.empty() && file.empty(); }
};

struct ClusterAccess {
  std::string server;  // https://host:port, no trailing slash
  Secret ca;
  Secret client_certificate;
  Secret client_key;
  Secret token;
  bool insecure = false;  // insecure-skip-tls-verify
};

class Credentials {
 public:
  explicit Credentials(ClusterAccess access) : access_(std::move(access)) {}

  const std::string& server() const { return access_.server; }
  bool insecure() const { return access_.insecure; }
  Result<std::string> ca() const { return read(access_.ca); }
  Result<std::string> client_certificate() const { return read(access_.client_certificate); }
  Result<std::string> client_key() const { return read(access_.client_key); }
  // Empty when there is none.
  std::string token();
  // The server did not take the token: the next one is read afresh.
  void refused();

 private:
  static Result<std::string> read(const Secret& secret);

  const ClusterAccess access_;
  std::mutex mutex_;
  std::string token_;  // guarded by mutex_, as is the next one
  std::chrono::steady_clock::time_point read_at_{};
};

// `folder` holds token and ca.crt; host and port are KUBERNETES_SERVICE_HOST and _PORT.
Result<ClusterAccess> in_cluster_access(const std::string& folder, const std::string& host,
                                        const std::string& port);
// The current context of a kubeconfig; relative file names are relative to it.
Result<ClusterAccess> kubeconfig_access(const std::string& file);

// `kubeconfig` when given; else in-cluster where there is a service account; else KUBECONFIG, else
// ~/.kube/config.
Result<ClusterAccess> find_access(const std::string& kubeconfig);

}  // namespace lb::kube
