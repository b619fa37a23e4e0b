// Keeps the three Secrets of kube/tls_material.hpp: whoever leads makes and renews them, everybody
// else only reads those with the certificates.
//
// A thread of its own; `on_text` is called there, whenever what a controller shows and trusts has
// changed. Data planes mount NAME; NAME-client, with which a controller shows who it is, nobody
// mounts; NAME-ca, where the authority's key is, nobody mounts and only who leads reads. An
// authority is made only where nothing that one signed is handed out: in the place of one that was
// lost it would cut off every data plane that trusts the old one. Then nothing is renewed until it
// is put back, or it and NAME are deleted, that of the authority first. Writes carry the version
// that was read: who was slower reads again. Never throws; no key is ever logged.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "controller/kube/http_client.hpp"
#include "controller/kube/tls_material.hpp"

namespace lb::kube {

struct SecretCounters {
  std::atomic<uint64_t> reads{0}, writes{0}, conflicts{0}, failures{0};
  std::atomic<bool> authority_lost{false};
};

class SecretKeeper {
 public:
  struct Options {
    HttpClientFactory make_client;
    std::function<void()> on_unauthorized = {};
    std::string ns;
    std::string name;
    std::function<void(net::TlsText)> on_text;
    TlsTerms terms = {};
    std::function<int64_t()> now = {};  // seconds since 1970; empty: the system's clock
    std::chrono::milliseconds period{30'000};
    std::chrono::milliseconds retry{2'000};
  };

  explicit SecretKeeper(Options options);
  ~SecretKeeper();
  SecretKeeper(const SecretKeeper&) = delete;
  SecretKeeper& operator=(const SecretKeeper&) = delete;

  void start();
  // Idempotent.
  void stop();
  // Whether this controller may write; any thread.
  void lead(bool leading);

  const SecretCounters& counters() const { return counters_; }

 private:
  struct Held {
    SecretData data;
    std::string version;  // empty: there is no such Secret
  };

  void run();
  bool turn();
  bool renew(Held& servers, Held& clients);
  bool authority_lost(const Held& held, const Held& authorities);
  bool read(const std::string& name, Held& out);
  bool write(const std::string& name, Held& held, SecretData data);
  bool failed(const std::string& name, const Result<net::HttpResponse>& answer);
  bool failed(const std::string& name, const std::string& why);
  bool leading() const;
  HttpClient& client();
  std::string path() const;

  const Options options_;
  SecretCounters counters_;
  net::TlsText told_;
  bool complained_ = false;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::unique_ptr<HttpClient> client_;  // guarded by mutex_, as are the next three
  bool leading_ = false;
  bool woken_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace lb::kube
