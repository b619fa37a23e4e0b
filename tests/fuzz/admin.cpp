// The admin API over a byte path that only records: several requests of one history.
//
// The input holds requests, each a line "METHOD TARGET", then the body up to a line of one dot.
#include "dataplane/admin.hpp"
#include "common/model/json.hpp"

#include <algorithm>
#include <optional>

#include "common/model/state_json.hpp"
#include "tests/fuzz/target.hpp"
#include "tests/unit/dataplane/program/fake_path.hpp"

namespace {

using namespace lb;
using namespace lb::dataplane;
using lb::fuzz::must;

constexpr std::string_view kEnd = "\n.\n";
constexpr int kStatuses[] = {200, 400, 404, 405, 409, 413, 422, 503};

std::string_view take(std::string_view& text, std::string_view end) {
  const size_t at = std::min(text.find(end), text.size());
  const auto out = text.substr(0, at);
  text.remove_prefix(std::min(at + end.size(), text.size()));
  return out;
}

net::HttpRequest take_request(std::string_view& text) {
  std::string_view body = take(text, kEnd);
  std::string_view line = take(body, "\n");
  const auto method = take(line, " ");
  return {std::string(method), std::string(line), {}, std::string(body)};
}

class History {
 public:
  void play(std::string_view text) {
    while (!text.empty()) ask(take_request(text));
    admin_.stop();
    must(asked_ == answered_, "each request is answered once, the waiting ones at the end");
    check_held();
  }

 private:
  void ask(const net::HttpRequest& request) {
    ++asked_;
    const auto before = coordinator_.held();
    const bool writes = request.method == "PUT" || request.method == "PATCH";
    admin_.handle(request, [this, writes, before](const net::HttpResponse& response) {
      ++answered_;
      check(response);
      if (response.status == 200 || !writes) return;
      must(coordinator_.held() == before, "what is refused changes nothing");
    });
  }

  static void check(const net::HttpResponse& response) {
    must(std::ranges::count(kStatuses, response.status) == 1, "a status of the contract");
    const auto type = net::find(response.headers, "Content-Type").value_or("");
    const bool json = type.starts_with("application/json");
    must(!json || nlohmann::json::accept(response.body), "a JSON answer is valid");
    must(json || response.status == 200 || response.status == 503, "an error is told in JSON");
  }

  void check_held() const {
    const auto& held = *coordinator_.held();
    const auto read = decode_state(encode_state(held));
    must(read.ok() && *read == held, "what is held can be saved and loaded");
  }

  asio::io_context io_;
  FakePath path_;
  Coordinator coordinator_{path_, {}};
  Drains drains_{{}, [](const Error&) {}};
  Certificates certificates_{std::make_shared<tls::CertificateBook>(), {}, [](const Error&) {}};
  std::shared_ptr<const std::string> metrics_ = std::make_shared<const std::string>("m 1\n");
  Admin admin_{
      {io_, coordinator_, path_, [this] { return metrics_; }, {}, "i", drains_, certificates_}};
  size_t asked_ = 0, answered_ = 0;
};

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  History history;
  history.play(fuzz::as_text(data, size));
  return 0;
}
