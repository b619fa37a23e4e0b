// What the writer writes, beside what a JSON library would write of the same.
#include "common/model/json_writer.hpp"

#include <gtest/gtest.h>

#include "common/model/json.hpp"

namespace lb::wire {
namespace {

using nlohmann::json;

std::string text(std::string_view value) {
  JsonWriter out;
  out.text(value);
  return out.take();
}

TEST(JsonWriter, PutsCommasWhereTheyBelong) {
  JsonWriter out;
  out.begin_object();
  out.name("a");
  out.begin_array();
  out.number(1);
  out.text("x");
  out.flag(false);
  out.begin_object();
  out.end_object();
  out.begin_array();
  out.end_array();
  out.raw("null");
  out.end_array();
  out.name("b");
  out.flag(true);
  out.end_object();
  EXPECT_EQ(out.take(), R"({"a":[1,"x",false,{},[],null],"b":true})");
}

TEST(JsonWriter, WritesEveryByteAsTheLibraryDoes) {
  for (int c = 0; c < 256; ++c) {
    const std::string value = std::string("a") + static_cast<char>(c) + "b";
    EXPECT_EQ(text(value), json(value).dump(-1, ' ', false, json::error_handler_t::replace)) << c;
  }
}

TEST(JsonWriter, KeepsUtf8AndReplacesWhatIsNone) {
  EXPECT_EQ(text("\xc3\xa9"), "\"\xc3\xa9\"");
  EXPECT_EQ(text("\xff"), "\"\xef\xbf\xbd\"");
  EXPECT_EQ(text("\"\\\n"), R"("\"\\\n")");
}

TEST(JsonWriter, WritesTheLargestNumber) {
  JsonWriter out;
  out.number(UINT64_MAX);
  EXPECT_EQ(out.take(), "18446744073709551615");
}

TEST(JsonWriter, TakesBackWhatTurnedOutToBeNothing) {
  JsonWriter out;
  out.begin_object();
  out.name("a");
  out.number(1);
  const size_t mark = out.mark();
  out.name("b");
  out.begin_object();
  out.back_to(mark);
  out.name("c");
  out.number(2);
  out.end_object();
  EXPECT_EQ(out.take(), R"({"a":1,"c":2})");
}

TEST(JsonWriter, TakesNoTextEndForABracket) {
  JsonWriter out;
  out.begin_array();
  for (const char* value : {"[", "{", ":", "a:", ""}) out.text(value);
  out.end_array();
  EXPECT_EQ(out.take(), R"(["[","{",":","a:",""])");
}

}  // namespace
}  // namespace lb::wire
