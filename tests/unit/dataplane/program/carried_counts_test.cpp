// What one process tells the next: totals that go on, and nothing that is the old one's alone.
#include "dataplane/carried_counts.hpp"

#include <gmock/gmock.h>

#include <array>
#include <bit>
#include <map>
#include <numeric>

#include "dataplane/metrics.hpp"
#include "dataplane/service_metrics.hpp"

namespace lb::dataplane {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

Endpoint endpoint(const char* text) { return parse_endpoint(text).value(); }

proxy::PortTotals port(const std::string& key = "file/web", const char* backend = "10.0.0.1:80") {
  proxy::PortTotals out;
  out.key = key;
  out.port = 80;
  out.active = 3;
  out.accepted = 10;
  out.bytes_in = 1000;
  out.connect.counts[2] = 4;
  out.connect.sum_ms = 77;
  out.life.counts[7] = 6;
  proxy::BackendTotals& mine = out.backends.emplace_back();
  mine.backend = endpoint(backend);
  mine.active = 3;
  mine.connections = 9;
  mine.refused = 2;
  out.groups = {{"blue", 8, 3, 1}};
  return out;
}

proxy::PortTotals fresh(const std::string& key = "file/web", const char* backend = "10.0.0.1:80") {
  proxy::PortTotals out;
  out.key = key;
  out.port = 80;
  out.active = 1;
  out.accepted = 1;
  out.backends.emplace_back().backend = endpoint(backend);
  out.groups = {{"blue", 0, 5, 2}};
  return out;
}

DesiredState state(const std::string& key, const char* backend) {
  DesiredState out;
  Service service;
  service.key = key;
  ServicePort& only = service.ports.emplace_back();
  only.port = 80;
  Backend& mine = only.backends.emplace_back();
  mine.address = endpoint(backend).address;
  mine.port = endpoint(backend).port;
  only.groups.emplace_back().name = "blue";
  out.services.push_back(std::move(service));
  return out;
}

handoff::Counters told_of(const proxy::DataPathCounters& path,
                          const std::vector<proxy::PortTotals>& ports) {
  handoff::Counters out;
  encode_totals(path, ports, out);
  return out;
}

CarriedCounts carried(const std::vector<proxy::PortTotals>& ports,
                      const proxy::DataPathCounters& path = {}) {
  CarriedCounts out;
  out.take(told_of(path, ports));
  return out;
}

TEST(CarriedCounts, TotalsOfAPortGoOnAndWhatIsOpenDoesNot) {
  const auto shown = carried({port()}).with({fresh()});
  ASSERT_THAT(shown, SizeIs(1));
  EXPECT_EQ(shown[0].accepted, 11u);
  EXPECT_EQ(shown[0].bytes_in, 1000u);
  EXPECT_EQ(shown[0].active, 1u);
}

TEST(CarriedCounts, HistogramsGoOn) {
  const auto shown = carried({port()}).with({fresh()});
  EXPECT_EQ(shown[0].connect.counts[2], 4u);
  EXPECT_EQ(shown[0].connect.sum_ms, 77u);
  EXPECT_EQ(shown[0].life.counts[7], 6u);
}

TEST(CarriedCounts, BackendsGoOnUnderTheirOwnAddress) {
  const auto same = carried({port()}).with({fresh()});
  EXPECT_EQ(same[0].backends[0].connections, 9u);
  EXPECT_EQ(same[0].backends[0].refused, 2u);
  EXPECT_EQ(same[0].backends[0].active, 0u);
  const auto other = carried({port()}).with({fresh("file/web", "10.0.0.2:80")});
  EXPECT_EQ(other[0].backends[0].connections, 0u);
}

TEST(CarriedCounts, GroupsGoOnByTheirNameAndWhatTheyAreNowDoesNot) {
  const auto blue = carried({port()}).with({fresh()}).at(0).groups.at(0);
  EXPECT_EQ(blue.connections, 8u);
  EXPECT_EQ(blue.weight, 5u);
  EXPECT_EQ(blue.usable, 2u);
  auto other = fresh();
  other.groups[0].name = "green";
  EXPECT_EQ(carried({port()}).with({other}).at(0).groups.at(0).connections, 0u);
}

TEST(CarriedCounts, AGroupsNameMayHoldTheSeparatorToo) {
  auto before = port("file/a|b"), after = fresh("file/a|b");
  before.groups[0].name = after.groups[0].name = "a|1|b";
  EXPECT_EQ(carried({before}).with({after}).at(0).groups.at(0).connections, 8u);
}

TEST(CarriedCounts, AGroupThatLeftBeginsAnew) {
  auto counts = carried({port()});
  auto without = state("file/web", "10.0.0.1:80");
  without.services.edit(0).ports[0].groups[0].name = "green";
  counts.keep_only(without);
  EXPECT_EQ(counts.with({fresh()}).at(0).groups.at(0).connections, 0u);
  counts = carried({port()});
  counts.keep_only(state("file/web", "10.0.0.1:80"));
  EXPECT_EQ(counts.with({fresh()}).at(0).groups.at(0).connections, 8u);
}

TEST(CarriedCounts, ProtocolsOfOnePortAreKeptApart) {
  auto udp = fresh();
  udp.protocol = Protocol::kUdp;
  EXPECT_EQ(carried({port()}).with({udp})[0].accepted, 1u);
}

TEST(CarriedCounts, AKeyMayHoldTheSeparator) {
  EXPECT_EQ(carried({port("file/a|b|c")}).with({fresh("file/a|b|c")})[0].accepted, 11u);
}

TEST(CarriedCounts, AnAddressOfVersion6IsABackendToo) {
  const auto shown =
      carried({port("file/web", "[fd00::1]:80")}).with({fresh("file/web", "[fd00::1]:80")});
  EXPECT_EQ(shown[0].backends[0].connections, 9u);
}

TEST(CarriedCounts, EveryCounterOfTheBytePathGoesOnButThoseOfNow) {
  proxy::DataPathCounters path;
  path.accepted = 5;
  path.active = 4;
  path.udp_opened = 3;
  path.udp_active = 2;
  path.passed_on = 1;
  const auto shown = carried({}, path).with(path);
  EXPECT_EQ(shown.accepted, 10u);
  EXPECT_EQ(shown.udp_opened, 6u);
  EXPECT_EQ(shown.passed_on, 2u);
  EXPECT_EQ(shown.active, 4u);
  EXPECT_EQ(shown.udp_active, 2u);
}

TEST(CarriedCounts, TheyGoOnOverSeveralProcesses) {
  const auto first = carried({port()});
  const auto second = carried(first.with({fresh()}));
  EXPECT_EQ(second.with({fresh()})[0].accepted, 12u);
}

TEST(CarriedCounts, ASeriesThatEndedBeginsAnew) {
  auto counts = carried({port()});
  counts.keep_only(state("file/other", "10.0.0.1:80"));
  EXPECT_EQ(counts.with({fresh()})[0].accepted, 1u);
}

TEST(CarriedCounts, ABackendThatLeftBeginsAnewAndItsPortGoesOn) {
  auto counts = carried({port()});
  counts.keep_only(state("file/web", "10.0.0.9:80"));
  const auto shown = counts.with({fresh()});
  EXPECT_EQ(shown[0].accepted, 11u);
  EXPECT_EQ(shown[0].backends[0].connections, 0u);
}

TEST(CarriedCounts, WhatStaysIsKept) {
  auto counts = carried({port()});
  counts.keep_only(state("file/web", "10.0.0.1:80"));
  EXPECT_EQ(counts.with({fresh()})[0].backends[0].connections, 9u);
}

TEST(CarriedCounts, CountsHandoffsAndWhatWasLeftBehindOverAllOfThem) {
  proxy::DataPathCounters path;
  path.active = 4;
  path.udp_active = 2;
  CarriedCounts counts;
  for (int i = 0; i < 3; ++i) {
    handoff::Counters told;
    counts.encode_own(told, path);
    counts.take(told);
  }
  EXPECT_EQ(counts.taken(), 3u);
  EXPECT_EQ(counts.left_tcp(), 12u);
  EXPECT_EQ(counts.left_udp(), 6u);
}

TEST(CarriedCounts, NamesThatAreNotKnownArePassedOver) {
  CarriedCounts counts;
  counts.take({{"", 1},
               {"|", 1},
               {"port", 1},
               {"port|x|tcp|accepted|file/web", 1},
               {"port|80|tcp|connect_99|file/web", 1},
               {"port|80|tcp|connect_|file/web", 1},
               {"port|80|tcp|later|file/web", 1},
               {"backend|80|tcp|nowhere|refused|file/web", 1},
               {"group|80|tcp|connections|4|blue", 1},
               {"group|80|tcp|connections|3|blue|file/web", 1},
               {"group|80|tcp|connections||blue|file/web", 1},
               {"group|80|tcp|later|4|blue|file/web", 1},
               {"path|later", 1},
               {"later|kind", 1}});
  const auto shown = counts.with({fresh()});
  EXPECT_EQ(shown[0].accepted, 1u);
  EXPECT_EQ(shown[0].backends[0].refused, 0u);
  EXPECT_EQ(shown[0].groups[0].connections, 0u);
}

TEST(CarriedCounts, ZeroesAreNotTold) { EXPECT_THAT(told_of({}, {fresh()}), SizeIs(1)); }

TEST(CarriedCounts, ThereAreNeverMoreThanAMessageMayHave) {
  std::vector<proxy::PortTotals> ports;
  for (size_t i = 0; i < handoff::kMaxCounters / 4; ++i) ports.push_back(port(std::to_string(i)));
  handoff::Counters told{{"handoffs|taken", 1}};
  encode_totals({}, ports, told);
  EXPECT_THAT(told, SizeIs(handoff::kMaxCounters));
}

TEST(CarriedCounts, EndsAndRefusalsAreToldByName) {
  proxy::PortTotals one = port();
  one.ended[static_cast<size_t>(proxy::EndReason::kKilled)] = 3;
  one.refused[static_cast<size_t>(proxy::Refusal::kRate)] = 4;
  handoff::Counters told;
  encode_totals({}, {one}, told);
  EXPECT_EQ(told.at("port|80|tcp|ended_killed|file/web"), 3u);
  EXPECT_EQ(told.at("port|80|tcp|refused_rate|file/web"), 4u);
}

TEST(CarriedCounts, AnEndThatIsNotKnownHereIsPassedOver) {
  CarriedCounts carried;
  carried.take({{"port|80|tcp|ended_otherwise|file/web", 3}, {"port|80|tcp|ended_|file/web", 4}});
  EXPECT_EQ(carried.with({fresh()}).at(0).ended, proxy::PortTotals{}.ended);
}

TEST(CarriedCounts, BackendsThatAreDownAreTold) {
  proxy::PortStatus one;
  one.port = 80;
  one.backends.resize(2);
  one.backends[0].backend = endpoint("10.0.0.1:80");
  one.backends[0].health = "down";
  one.backends[1].backend = endpoint("10.0.0.2:80");
  one.backends[1].health = "up";
  handoff::Counters told;
  encode_down({{"file/web", {one}}}, told);
  EXPECT_THAT(decode_down(told), ElementsAre(proxy::BackendId{"file/web", 80, Protocol::kTcp,
                                                              endpoint("10.0.0.1:80")}));
}

TEST(CarriedCounts, DrainsAreToldWhateverTheyNarrowDown) {
  const std::set<proxy::Drain> drains{{"", std::nullopt},
                                      {"file/web", std::nullopt},
                                      {"", endpoint("10.0.0.1:80")},
                                      {"file/web", endpoint("[fd00::1]:80")}};
  handoff::Counters told;
  encode_drained(drains, told);
  EXPECT_EQ(decode_drained(told), drains);
}

TEST(CarriedCounts, ADrainThatIsNotUnderstoodDrainsNothing) {
  EXPECT_THAT(decode_drained({{"drain|somewhere|file/web", 1}}), IsEmpty());
}

// Every counter, each with a number of its own.
template <class Counters>
Counters all_counted() {
  std::array<uint64_t, sizeof(Counters) / sizeof(uint64_t)> out;
  std::iota(out.begin(), out.end(), 1);
  return std::bit_cast<Counters>(out);
}

proxy::PortTotals all_counted_by_port() {
  proxy::PortTotals out = port();
  uint64_t next = 1;
  for (uint64_t* each : {&out.accepted, &out.closed, &out.bytes_in, &out.bytes_out, &out.retries,
                         &out.no_backend, &out.replays, &out.keep_overflows, &out.hedges,
                         &out.hedges_won, &out.waits, &out.wait_timeouts, &out.wait_overflows,
                         &out.clients_gone_while_waiting, &out.drains, &out.drain_resets}) {
    *each = next++;
  }
  for (uint64_t& each : out.ended) each = next++;
  for (uint64_t& each : out.refused) each = next++;
  auto& mine = out.backends.at(0);
  for (uint64_t* each :
       {&mine.connections, &mine.bytes_in, &mine.bytes_out, &mine.refused, &mine.timeouts,
        &mine.errors, &mine.ejections, &mine.instant_resets, &mine.tls, &mine.turned_up,
        &mine.turned_down}) {
    *each = next++;
  }
  return out;
}

// Samples of counters, by name and labels.
std::map<std::string, double> counters_of(const std::vector<ops::Metric>& metrics) {
  std::map<std::string, double> out;
  for (const auto& metric : metrics) {
    if (metric.type != ops::MetricType::kCounter) continue;
    for (const auto& sample : metric.samples) {
      std::string name = metric.name;
      for (const auto& [label, value] : sample.labels) name += " " + label + "=" + value;
      out[name] = sample.value;
    }
  }
  return out;
}

TEST(CarriedCounts, EveryCounterThatIsShownOfAPortABackendOrAGroupGoesOn) {
  const auto shown = [](const proxy::PortTotals& totals) {
    std::vector<ops::Metric> out;
    add_service_metrics(out, {totals});
    return counters_of(out);
  };
  auto nothing = fresh();
  nothing.accepted = 0;
  const auto before = shown(all_counted_by_port());
  for (const auto& [name, value] : before) EXPECT_GT(value, 0) << name << ": not in this test";
  EXPECT_EQ(shown(carried({all_counted_by_port()}).with({nothing}).at(0)), before);
}

TEST(CarriedCounts, EveryCounterThatIsShownOfThePathGoesOn) {
  const auto shown = [](const proxy::DataPathCounters& counters) {
    std::vector<ops::Metric> out;
    add_path_metrics(out, counters);
    return counters_of(out);
  };
  const auto before = shown(all_counted<proxy::DataPathCounters>());
  EXPECT_GT(before.size(), 40U);
  EXPECT_EQ(
      shown(carried({}, all_counted<proxy::DataPathCounters>()).with(proxy::DataPathCounters{})),
      before);
}

TEST(CarriedCounts, EveryCounterThatIsShownOfTheChecksGoesOn) {
  const auto shown = [](const health::ProberCounters& counters) {
    std::vector<ops::Metric> out;
    add_check_metrics(out, counters);
    return counters_of(out);
  };
  const auto all = all_counted<health::ProberCounters>();
  handoff::Counters told;
  encode_checks(all, told);
  CarriedCounts carried;
  carried.take(told);
  EXPECT_EQ(shown(carried.with(health::ProberCounters{})), shown(all));
}

}  // namespace
}  // namespace lb::dataplane
