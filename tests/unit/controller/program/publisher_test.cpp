// The publisher against a data plane that is told what to answer, over a real socket.
#include "controller/publisher.hpp"

#include <gmock/gmock.h>

#include <deque>

#include "common/model/diff.hpp"
#include "common/model/state_json.hpp"
#include "common/net/http_server.hpp"
#include "controller/dataplane_json.hpp"

namespace lb::controller {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

Service service(const std::string& key, const char* address = "192.0.2.1") {
  Service out;
  out.key = key;
  out.addresses = {IpAddress::parse(address).value()};
  out.ports.emplace_back().port = 80;
  return out;
}

// Holds a state as the real one does, unless it is told to answer otherwise.
class FakeDataplane {
 public:
  explicit FakeDataplane(asio::io_context& io) {
    auto server = net::HttpServer::start(
        io,
        {.listen = Endpoint{IpAddress::parse("127.0.0.1").value(), 0},
         .body_limit = [](auto&, auto&) { return kMaxStateBytes; }},
        [this](const auto& request, auto respond) { answer(request, std::move(respond)); });
    server_ = std::move(server).value();
  }
  net::SocketAddress address() const { return server_->local(); }

  DesiredState held;
  std::string instance = "i";
  std::deque<net::HttpResponse> instead;  // for PUT and PATCH
  std::vector<std::string> writes;
  std::vector<net::HttpServer::Respond> polls;

  void tell_polls() {
    for (auto& respond : std::exchange(polls, {})) respond(net::json_response(200, status()));
  }

 private:
  std::string status() const {
    return R"({"schema":"empalme.io/v1","features":["protocol=tcp"],"instance":")" + instance +
           R"(","rev":")" + instance + R"(.1","epoch":)" + std::to_string(held.version.epoch) +
           R"(,"generation":)" + std::to_string(held.version.generation) +
           R"(,"failed":[],"services":[],"removed":[]})";
  }
  void answer(const net::HttpRequest& request, net::HttpServer::Respond respond) {
    if (request.target.starts_with("/v1/status")) {
      if (request.target.find("wait=") != std::string::npos) return polls.push_back(respond);
      return respond(net::json_response(200, status()));
    }
    if (request.method == "GET") return respond(net::json_response(200, encode_state(held)));
    writes.push_back(request.method);
    if (!instead.empty()) {
      respond(instead.front());
      instead.pop_front();
      return;
    }
    respond(net::json_response(200, apply(request)));
  }
  std::string apply(const net::HttpRequest& request) {
    if (request.method == "PUT") {
      held = decode_state(request.body).value();
    } else {
      held = apply_patch(held, decode_patch(request.body).value()).value();
    }
    return encode_apply_result({held.version, {}});
  }

  std::unique_ptr<net::HttpServer> server_;
};

class Observer : public PublisherObserver {
 public:
  void held(const DesiredState& state) override { found = state; }
  void acknowledged(const DesiredState& state, const std::vector<Failure>&) override {
    ++acknowledgements;
    last = state;
  }
  void status(const DataplaneStatus& status) override { features = status.features; }
  void lost(bool lost) override { losses.push_back(lost); }

  std::optional<DesiredState> found;
  DesiredState last;
  int acknowledgements = 0;
  std::set<std::string> features;
  std::vector<bool> losses;
};

class PublisherTest : public testing::Test {
 protected:
  void start() {
    publisher = std::make_unique<Publisher>(
        io, Publisher::Options{.dataplane = dataplane.address(), .coalesce = 5ms}, observer);
    publisher->start();
  }
  bool run_until(const std::function<bool()>& holds) {
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (!holds() && std::chrono::steady_clock::now() < end) io.run_one_for(50ms);
    return holds();
  }
  bool acknowledged(int times) {
    return run_until([&] { return observer.acknowledgements >= times; });
  }

  asio::io_context io;
  FakeDataplane dataplane{io};
  Observer observer;
  std::unique_ptr<Publisher> publisher;
};

TEST_F(PublisherTest, ReadsWhatIsHeldBeforeItWrites) {
  dataplane.held = {{7, 3}, {service("file/old")}};
  start();
  ASSERT_TRUE(acknowledged(1));
  EXPECT_EQ(observer.found->services.at(0).key, "file/old");
  EXPECT_EQ(dataplane.held.version, (Version{8, 1})) << "held epoch + 1";
  EXPECT_THAT(dataplane.held.services, SizeIs(1)) << "kept until its source has synced";
}

TEST_F(PublisherTest, BeginsWithAPutAndGoesOnWithPatches) {
  start();
  ASSERT_TRUE(acknowledged(1));
  publisher->set("a", service("a"));
  ASSERT_TRUE(acknowledged(2));
  EXPECT_THAT(dataplane.writes, ElementsAre("PUT", "PATCH"));
  EXPECT_EQ(dataplane.held.services.at(0).key, "a");
  EXPECT_THAT(observer.features, ElementsAre("protocol=tcp"));
}

TEST_F(PublisherTest, GathersChangesThatComeTogether) {
  start();
  ASSERT_TRUE(acknowledged(1));
  for (int i = 0; i < 50; ++i)
    publisher->set("s" + std::to_string(i), service("s" + std::to_string(i)));
  ASSERT_TRUE(acknowledged(2));
  EXPECT_THAT(dataplane.writes, SizeIs(2));
  EXPECT_THAT(dataplane.held.services, SizeIs(50));
}

TEST_F(PublisherTest, SendsNothingWhenNothingChanges) {
  start();
  publisher->set("a", service("a"));
  ASSERT_TRUE(acknowledged(1));
  publisher->set("a", service("a"));
  publisher->set("nobody", std::nullopt);
  io.run_for(50ms);
  EXPECT_THAT(dataplane.writes, SizeIs(1));
}

TEST_F(PublisherTest, RemovesWhatIsNoLongerWanted) {
  start();
  publisher->set("a", service("a"));
  ASSERT_TRUE(acknowledged(1));
  publisher->set("a", std::nullopt);
  ASSERT_TRUE(acknowledged(2));
  EXPECT_TRUE(dataplane.held.services.empty());
}

TEST_F(PublisherTest, AConflictLeadsToTheWholeState) {
  start();
  ASSERT_TRUE(acknowledged(1));
  dataplane.instead.push_back(
      net::json_response(409, R"({"reason":"Order","epoch":1,"generation":9})"));
  publisher->set("a", service("a"));
  ASSERT_TRUE(acknowledged(2));
  EXPECT_THAT(dataplane.writes, ElementsAre("PUT", "PATCH", "PUT"));
  EXPECT_EQ(dataplane.held.version.generation, 10u);
  EXPECT_EQ(publisher->counters().conflicts, 1u);
}

TEST_F(PublisherTest, StopsForGoodWhenAHigherEpochIsHeld) {
  start();
  ASSERT_TRUE(acknowledged(1));
  dataplane.instead.push_back(
      net::json_response(409, R"({"reason":"Order","epoch":99,"generation":1})"));
  publisher->set("a", service("a"));
  ASSERT_TRUE(run_until([&] { return publisher->superseded(); }));
  publisher->set("b", service("b"));
  io.run_for(100ms);
  EXPECT_THAT(dataplane.writes, SizeIs(2));
}

TEST_F(PublisherTest, ARefusedStateIsTriedAgainAndCounted) {
  start();
  ASSERT_TRUE(acknowledged(1));
  dataplane.instead.push_back(net::json_response(422, R"({"reason":"Schema","pointer":"/x"})"));
  publisher->set("a", service("a"));
  ASSERT_TRUE(acknowledged(2));
  EXPECT_EQ(publisher->counters().refused, 1u);
}

TEST_F(PublisherTest, ARestartedDataPlaneGetsTheWholeState) {
  start();
  publisher->set("a", service("a"));
  ASSERT_TRUE(acknowledged(1));
  ASSERT_TRUE(run_until([&] { return !dataplane.polls.empty(); }));
  dataplane.instance = "another";
  dataplane.held = {};
  dataplane.tell_polls();
  ASSERT_TRUE(acknowledged(2));
  EXPECT_THAT(dataplane.held.services, SizeIs(1));
}

TEST_F(PublisherTest, AnotherPairLeadsToTheWholeState) {
  start();
  publisher->set("a", service("a"));
  ASSERT_TRUE(acknowledged(1));
  ASSERT_TRUE(run_until([&] { return !dataplane.polls.empty(); }));
  dataplane.held.version.generation = 0;
  dataplane.held.services.clear();
  dataplane.tell_polls();
  ASSERT_TRUE(acknowledged(2));
  EXPECT_THAT(dataplane.held.services, SizeIs(1));
}

TEST_F(PublisherTest, SaysWhenNobodyAnswersForTooLong) {
  publisher = std::make_unique<Publisher>(
      io,
      Publisher::Options{.dataplane = net::SocketAddress{net::UnixPath{"/nonexistent/empalme"}},
                         .lost_after = 1s},
      observer);
  publisher->start();
  ASSERT_TRUE(run_until([&] { return !observer.losses.empty(); }));
  EXPECT_TRUE(observer.losses.front());
  EXPECT_FALSE(publisher->contacted());
  EXPECT_GE(publisher->counters().errors, 1u);
}

TEST(DataplaneJson, ReadsAStatusAndPassesOverWhatItDoesNotKnow) {
  const auto status = decode_status(
      R"({"schema":"empalme.io/v1","features":["a",3],"instance":"i","rev":"r","epoch":2,
          "generation":5,"new":{},"failed":[{"key":"k","address":"192.0.2.1","port":80,
          "protocol":"udp","reason":"R","message":"m"},7]})");
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status->version, (Version{2, 5}));
  EXPECT_THAT(status->features, ElementsAre("a"));
  ASSERT_THAT(status->failed, SizeIs(1));
  EXPECT_EQ(status->failed[0].protocol, Protocol::kUdp);
}

TEST(DataplaneJson, RefusesAnotherSchemaByName) {
  const auto status = decode_status(R"({"schema":"empalme.io/v9"})");
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("empalme.io/v9"));
  EXPECT_FALSE(decode_status("[").ok());
  EXPECT_EQ(decode_refusal("garbage").reason, "");
}

}  // namespace
}  // namespace lb::controller
