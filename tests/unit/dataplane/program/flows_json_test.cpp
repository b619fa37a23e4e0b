// Connections as JSON, the questions about them, and their log.
#include "dataplane/flows_json.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include "dataplane/flow_log.hpp"

namespace lb::dataplane {
namespace {

using testing::HasSubstr;
using testing::Not;

proxy::Flow flow() {
  proxy::Flow out;
  out.id = 281474976710657;
  out.service = "file/web";
  out.listener = parse_endpoint("192.0.2.1:80").value();
  out.client = parse_endpoint("198.51.100.7:40000").value();
  out.backend = parse_endpoint("10.0.0.1:8080").value();
  out.bytes_in = 3;
  out.age_ms = 12;
  return out;
}

TEST(FlowQuery, TakesEveryFilter) {
  const auto filter =
      parse_flow_query("service=file%2Fweb&backend=10.0.0.1:8080&source=198.51.100.7&limit=5");
  ASSERT_TRUE(filter.ok());
  EXPECT_EQ(filter->service, "file/web");
  EXPECT_EQ(filter->backend, parse_endpoint("10.0.0.1:8080").value());
  EXPECT_EQ(filter->source, IpAddress::parse("198.51.100.7").value());
  EXPECT_EQ(filter->limit, 5u);
}

TEST(FlowQuery, RefusesWhatItDoesNotKnow) {
  for (const char* wrong : {"servce=a", "backend=x", "source=x", "limit=x", "limit=-1"}) {
    EXPECT_EQ(parse_flow_query(wrong).error().code, "Query") << wrong;
  }
}

TEST(FlowQuery, BoundsTheAnswer) { EXPECT_EQ(parse_flow_query("limit=99999999")->limit, 10'000u); }

TEST(FlowsJson, IdsAreTextSoThatNoReaderRoundsThem) {
  EXPECT_THAT(encode_flows({flow()}), HasSubstr(R"("id":"281474976710657")"));
}

TEST(FlowsJson, SaysWhichProtocol) {
  proxy::Flow session = flow();
  EXPECT_THAT(encode_flows({session}), HasSubstr(R"("protocol":"tcp")"));
  session.protocol = Protocol::kUdp;
  EXPECT_THAT(encode_flows({session}), HasSubstr(R"("protocol":"udp")"));
  EXPECT_THAT(encode_flow_record(
                  {.flow = session, .reason = proxy::EndReason::kIdle, .connect_ms = {}}, "now"),
              HasSubstr(R"("protocol":"udp")"));
}

TEST(FlowsJson, WithoutABackendThereIsNone) {
  proxy::Flow dialling = flow();
  dialling.backend.reset();
  dialling.phase = proxy::FlowPhase::kDialling;
  EXPECT_THAT(encode_flows({dialling}), HasSubstr(R"("backend":"","phase":"dialling")"));
  for (const auto phase :
       {proxy::FlowPhase::kGreeting, proxy::FlowPhase::kWaiting, proxy::FlowPhase::kRelaying,
        proxy::FlowPhase::kResetting, proxy::FlowPhase::kLingering}) {
    dialling.phase = phase;
    const std::string shown = std::string(R"("phase":")") + to_string(phase) + '"';
    EXPECT_THAT(encode_flows({dialling}), HasSubstr(shown));
  }
}

TEST(FlowRecord, SaysWhoEndedItAndHow) {
  proxy::FlowRecord record{
      .flow = flow(), .reason = proxy::EndReason::kBackendReset, .retries = 2, .connect_ms = 7};
  const std::string line = encode_flow_record(record, "now");
  EXPECT_THAT(line, HasSubstr(R"("end":"backend_reset","retries":2)"));
  EXPECT_THAT(line, HasSubstr(R"("connect_ms":7)"));
  EXPECT_THAT(line, HasSubstr(R"("client":"198.51.100.7:40000")"));
  EXPECT_THAT(line, Not(HasSubstr("\n")));
}

TEST(FlowRecord, NamesTheRuleThatRefusedAndNoneOtherwise) {
  proxy::FlowRecord record{.flow = flow(),
                           .reason = proxy::EndReason::kRefused,
                           .refusal = proxy::Refusal::kRate,
                           .connect_ms = {}};
  EXPECT_THAT(encode_flow_record(record, "now"),
              HasSubstr(R"("end":"refused","refusal":"rate","retries")"));
  record.refusal.reset();
  EXPECT_THAT(encode_flow_record(record, "now"), Not(HasSubstr("refusal")));
}

TEST(FlowRecord, ANameOfAServiceCannotForgeALine) {
  proxy::FlowRecord record{.flow = flow(), .connect_ms = {}};
  record.flow.service = "a\"}\n{\"x\":\"\xff";
  EXPECT_THAT(encode_flow_record(record, "now"), Not(HasSubstr("\n")));
}

TEST(FlowId, IsTakenOnlyWhole) {
  EXPECT_EQ(parse_flow_id("12").value(), 12u);
  for (const char* wrong : {"", "x", "12x", "-1", "99999999999999999999999"}) {
    EXPECT_FALSE(parse_flow_id(wrong).ok()) << wrong;
  }
}

TEST(FlowLogTest, WritesWhatWaitsBeforeItEnds) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  FlowLog log(ends[1]);
  log.write("one");
  log.write("two");
  log.stop();
  char text[16];
  EXPECT_EQ(read(ends[0], text, sizeof text), 8);
  EXPECT_EQ(std::string(text, 8), "one\ntwo\n");
  EXPECT_EQ(log.lines(), 2u);
  close(ends[0]);
  close(ends[1]);
}

TEST(FlowLogTest, DropsAndCountsRatherThanGrowing) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  auto log = std::make_unique<FlowLog>(ends[1]);
  const std::string line(1 << 20, 'x');
  for (int i = 0; i < 40; ++i) log->write(line);
  EXPECT_GT(log->dropped(), 0u) << "nobody reads the pipe";
  signal(SIGPIPE, SIG_IGN);
  close(ends[0]);  // a write to it fails now, and the log can end
  log.reset();
  close(ends[1]);
}

TEST(FlowRecords, ShowATerminalNothingThatItWouldObey) {
  proxy::FlowRecord record;
  record.flow.service = "file/\n\x1b[2J\x7f\u009b";
  for (const char c : encode_flow_record(record, "t")) EXPECT_TRUE(c >= ' ' && c < '\x7f');
}

TEST(FlowLogTest, ALineThatCouldNotBeMadeIsCounted) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  FlowLog log(ends[1]);
  log.drop();
  log.stop();
  EXPECT_EQ(log.dropped(), 1u);
  EXPECT_EQ(log.lines(), 0u);
  close(ends[0]);
  close(ends[1]);
}

TEST(FlowLogTest, EndsAlthoughNobodyReads) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  FlowLog log(ends[1]);
  for (int i = 0; i < 1000; ++i) log.write(std::string(999, 'x'));
  log.stop();
  EXPECT_GT(log.dropped(), 900u) << "a pipe holds 64 KiB";
  EXPECT_LT(log.dropped(), 1000u);
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace lb::dataplane
