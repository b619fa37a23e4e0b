// The table that people read.
#include "empalme/status_table.hpp"

#include <gmock/gmock.h>

namespace lb::cli {
namespace {

using testing::HasSubstr;

constexpr char kStatus[] = R"({"failed":[{"key":"file/db","address":"192.0.2.2","port":5432,
  "protocol":"tcp","reason":"PortTakenOnNode","message":"in use"}],"services":[
  {"key":"file/web","ports":[{"address":"192.0.2.1","port":80,"protocol":"tcp","programmed":true,
   "reason":"","connections":12,"backends":[
    {"backend":"10.0.0.1:80","state":"ready","health":"unknown"},
    {"backend":"10.0.0.2:80","state":"ready","health":"ejected"},
    {"backend":"10.0.0.3:80","state":"draining","health":"unknown"}]}]},
  {"key":"file/db","ports":[{"address":"192.0.2.2","port":5432,"protocol":"tcp",
   "programmed":false,"reason":"PortTakenOnNode","connections":0,"backends":[]}]}]})";

TEST(StatusTable, HasALineForEachListener) {
  const auto table = status_table(kStatus);
  ASSERT_TRUE(table.ok());
  EXPECT_THAT(*table,
              HasSubstr("SERVICE   ADDRESS    PORT      BACKENDS  CONNECTIONS  STATE\n"
                        "file/web  192.0.2.1  80/tcp    1/3       12           serving\n"
                        "file/db   192.0.2.2  5432/tcp  0/0       0            PortTakenOnNode\n"));
}

TEST(StatusTable, SaysForWhomAServiceOfASharedPortIs) {
  const auto table = status_table(R"({"services":[{"key":"file/shop","ports":[
      {"address":"192.0.2.1","port":443,"protocol":"tcp","programmed":true,
       "match":{"names":["a.test","b.test"],"sources":["10.0.0.0/8"]}},
      {"address":"192.0.2.1","port":443,"protocol":"tcp","match":{"names":[7]}}]}]})");
  EXPECT_THAT(*table, HasSubstr("443/tcp a.test +1 from 10.0.0.0/8"));
  EXPECT_THAT(*table, HasSubstr("192.0.2.1  443/tcp  "));
}

TEST(StatusTable, SaysWhyBelow) {
  EXPECT_THAT(*status_table(kStatus),
              HasSubstr("\nfile/db: 192.0.2.2:5432: PortTakenOnNode: in use\n"));
}

TEST(StatusTable, IsASentenceWhenThereIsNothing) {
  EXPECT_EQ(*status_table(R"({"services":[]})"), "No services are served.\n");
}

TEST(StatusTable, LeavesControlCharactersOut) {
  const auto table =
      status_table("{\"services\":[{\"key\":\"a\\u001b[2J\",\"ports\":[{\"address\":\"x\"}]}]}");
  EXPECT_EQ(table->find('\x1b'), std::string::npos);
}

TEST(StatusTable, RefusesWhatIsNoJson) { EXPECT_FALSE(status_table("<html>").ok()); }

}  // namespace
}  // namespace lb::cli
