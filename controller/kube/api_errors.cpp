#include "controller/kube/api_errors.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace lb::kube {
namespace {

// Empty: nothing went wrong.
std::string_view kind_of(const Result<net::HttpResponse>& answer) {
  if (!answer) {
    const std::string& code = answer.error().code;
    if (code == "Cancelled") return {};
    if (code == "Connect") return "connect";
    if (code == "Timeout") return "timeout";
    return code == "Tls" ? "tls" : "broken_off";
  }
  const int status = answer->status;
  if (status < 400) return {};
  if (status >= 500) return "server";
  switch (status) {
    case 401:
      return "unauthorized";
    case 403:
      return "forbidden";
    case 404:
      return "not_found";
    case 409:
      return "conflict";
    case 410:
      return "gone";
    case 429:
      return "throttled";
    default:
      return "invalid";
  }
}

class CountingClient : public HttpClient {
 public:
  CountingClient(std::unique_ptr<HttpClient> behind, std::shared_ptr<ApiErrors> errors)
      : behind_(std::move(behind)), errors_(std::move(errors)) {}

  Result<net::HttpResponse> request(const net::HttpRequest& request) override {
    auto answer = behind_->request(request);
    errors_->count(answer);
    return answer;
  }
  Result<net::HttpResponse> stream(const net::HttpRequest& request,
                                   const OnLine& on_line) override {
    auto answer = behind_->stream(request, on_line);
    errors_->count(answer);
    return answer;
  }
  void cancel() override { behind_->cancel(); }

 private:
  const std::unique_ptr<HttpClient> behind_;
  const std::shared_ptr<ApiErrors> errors_;
};

}  // namespace

void ApiErrors::count(const Result<net::HttpResponse>& answer) {
  const auto kind = std::find(kKinds.begin(), kKinds.end(), kind_of(answer));
  if (kind != kKinds.end()) ++counts_[static_cast<size_t>(kind - kKinds.begin())];
}

HttpClientFactory counting(HttpClientFactory factory, std::shared_ptr<ApiErrors> errors) {
  return [factory = std::move(factory), errors = std::move(errors)] {
    return std::make_unique<CountingClient>(factory(), errors);
  };
}

}  // namespace lb::kube
