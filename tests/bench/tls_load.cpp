// TLS clients and plain backends around a proxy that ends TLS: what an operation costs the proxy.
//
//   tls-load --target PORT --backend PORT --pid PID... --work full|resumed|rr|download|upload
//            [--clients 8] [--seconds 2]
//
// One line of JSON: operations (bytes for downloads and uploads), errors, and the CPU time that the
// named processes used meanwhile. TLS 1.3, X25519 and AES-128-GCM for every contestant. Threads
// that block, since only the proxy's side is measured.
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "common/net/fd.hpp"
#include "tests/bench/process_cpu.hpp"
#include "tests/bench/tcp_ends.hpp"

namespace bench {
namespace {

constexpr size_t kMessage = 64;
constexpr size_t kBlock = 64 << 10;

struct Asked {
  uint16_t target = 0, backend = 0;
  std::vector<pid_t> pids;
  std::string work = "full";
  int clients = 8, seconds = 2;

  bool bulk() const { return work == "download" || work == "upload"; }
};

struct Counts {
  std::atomic<uint64_t> operations{0}, errors{0};
};

class Client {
 public:
  Client(SSL_CTX* context, const Asked& asked, Counts& counts)
      : context_(context), asked_(asked), counts_(counts) {}
  ~Client() { SSL_SESSION_free(session_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void run(const std::atomic<bool>& over) {
    while (!over) {
      if (!connect_once(over)) ++counts_.errors;
    }
  }

 private:
  bool connect_once(const std::atomic<bool>& over) {
    const lb::net::Fd fd = connect_to(asked_.target);
    if (!fd.valid()) return false;
    SSL* ssl = SSL_new(context_);
    SSL_set_fd(ssl, fd.get());
    SSL_set_tlsext_host_name(ssl, "bench.test");
    if (session_ != nullptr && asked_.work != "full") SSL_set_session(ssl, session_);
    const bool good = SSL_connect(ssl) == 1 && work(ssl, over);
    SSL_free(ssl);
    return good;
  }

  bool work(SSL* ssl, const std::atomic<bool>& over) {
    if (asked_.work == "download") return receive(ssl, over);
    if (asked_.work == "upload") return send(ssl, over);
    if (asked_.work != "rr") return exchange(ssl) && keep(ssl);
    while (!over) {
      if (!exchange(ssl)) return false;
    }
    return true;
  }

  // Counts as an operation, with the handshake before it where there was one.
  bool exchange(SSL* ssl) {
    char text[kMessage] = "x";
    if (SSL_write(ssl, text, kMessage) != int{kMessage}) return false;
    for (size_t got = 0; got < kMessage;) {
      const int n = SSL_read(ssl, text, sizeof text);
      if (n <= 0) return false;
      got += size_t(n);
    }
    ++counts_.operations;
    return true;
  }

  // The ticket has come with the answer.
  bool keep(SSL* ssl) {
    SSL_SESSION_free(session_);
    session_ = SSL_get1_session(ssl);
    SSL_shutdown(ssl);
    return true;
  }

  bool receive(SSL* ssl, const std::atomic<bool>& over) {
    std::vector<char> block(kBlock);
    if (SSL_write(ssl, "d", 1) != 1) return false;
    while (!over) {
      const int n = SSL_read(ssl, block.data(), int(block.size()));
      if (n <= 0) return false;
      counts_.operations += uint64_t(n);
    }
    return true;
  }

  bool send(SSL* ssl, const std::atomic<bool>& over) {
    const std::vector<char> block(kBlock, 'u');
    while (!over) {
      const int n = SSL_write(ssl, block.data(), int(block.size()));
      if (n <= 0) return false;
      counts_.operations += uint64_t(n);
    }
    return true;
  }

  SSL_CTX* const context_;
  const Asked& asked_;
  Counts& counts_;
  SSL_SESSION* session_ = nullptr;
};

// Answers what it gets; 'd' asks for as much as the other side takes, 'u' is swallowed.
void serve(int fd) {
  std::vector<char> block(kBlock, 'b');
  for (ssize_t got; (got = recv(fd, block.data(), block.size(), 0)) > 0;) {
    if (block[0] == 'u') continue;
    const size_t size = block[0] == 'd' ? block.size() : size_t(got);
    do {
      if (::send(fd, block.data(), size, MSG_NOSIGNAL) < 0) return;
    } while (size == block.size());
  }
}

void serve_all(int listener) {
  for (;;) {
    const lb::net::Fd fd(accept(listener, nullptr, nullptr));
    if (!fd.valid()) return;
    serve(fd.get());
  }
}

SSL_CTX* make_context() {
  SSL_CTX* out = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(out, TLS1_3_VERSION);
  SSL_CTX_set_ciphersuites(out, "TLS_AES_128_GCM_SHA256");
  SSL_CTX_set1_groups_list(out, "X25519");
  return out;
}

void measure(const Asked& asked) {
  SSL_CTX* context = make_context();
  Counts counts;
  std::atomic<bool> over{false};
  std::vector<std::thread> clients;
  for (int i = 0; i < asked.clients; ++i) {
    clients.emplace_back([&] { Client(context, asked, counts).run(over); });
  }
  // Once everybody is at work.
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const uint64_t cpu = cpu_ns(asked.pids), done = counts.operations;
  std::this_thread::sleep_for(std::chrono::seconds(asked.seconds));
  const uint64_t used = cpu_ns(asked.pids) - cpu, operations = counts.operations - done;
  over = true;
  for (auto& each : clients) each.join();
  SSL_CTX_free(context);
  const double unit = asked.bulk() ? double(operations) : double(operations) * 1e3;
  std::printf("{\"operations\": %lu, \"per_s\": %.0f, \"errors\": %lu, \"cpu\": %.4f}\n",
              static_cast<unsigned long>(operations), double(operations) / asked.seconds,
              static_cast<unsigned long>(counts.errors), operations == 0 ? 0 : double(used) / unit);
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  bench::Asked asked;
  CLI::App app{"TLS clients and backends around a proxy; cpu is in us an operation, s a GB",
               "tls-load"};
  app.add_option("--target", asked.target, "Port of the proxy on 127.0.0.1")->required();
  app.add_option("--backend", asked.backend, "Port of the backend on 127.0.0.1")->required();
  app.add_option("--pid", asked.pids, "Processes of the proxy")->required();
  app.add_option("--work", asked.work, "What an operation is")
      ->check(CLI::IsMember({"full", "resumed", "rr", "download", "upload"}));
  app.add_option("--clients", asked.clients, "Connections at once")->check(CLI::Range(1, 256));
  app.add_option("--seconds", asked.seconds, "Length of the measurement")
      ->check(CLI::Range(1, 600));
  CLI11_PARSE(app, argc, argv);
  const lb::net::Fd listener = bench::listen_on(asked.backend);
  if (!listener.valid()) return 1;
  // As many as there can be connections; they end with the process.
  for (int i = 0; i < 2 * asked.clients; ++i) {
    std::thread(bench::serve_all, listener.get()).detach();
  }
  bench::measure(asked);
  std::fflush(stdout);
  std::_Exit(0);
}
