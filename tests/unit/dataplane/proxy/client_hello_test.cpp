// What a TLS client says first, however it comes.
#include "dataplane/proxy/client_hello.hpp"

#include <gtest/gtest.h>

#include "tests/support/client_hello.hpp"

namespace lb::proxy {
namespace {

using Verdict = ClientHello::Verdict;
using test::client_hello;
using test::records;
using test::Text;

ClientHello parse(const Text& bytes) {
  return parse_client_hello({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}
Verdict verdict(const Text& bytes) { return parse(bytes).verdict; }
Text with_extensions(const Text& extensions) {
  return records(test::message(test::hello_body(extensions)));
}

TEST(ClientHello, NamesTheServer) {
  const auto hello = parse(records(client_hello("shop.example.com")));
  EXPECT_EQ(hello.verdict, Verdict::kDone);
  EXPECT_EQ(hello.server_name, "shop.example.com");
}

TEST(ClientHello, NamesItInLowerCaseWithoutADotAtItsEnd) {
  EXPECT_EQ(parse(records(client_hello("Shop.Example.COM."))).server_name, "shop.example.com");
}

TEST(ClientHello, IsReadWhereverTheConnectionIsCut) {
  const Text bytes = records(client_hello("shop.example.com", test::kPostQuantumShare));
  for (size_t i = 0; i < bytes.size(); ++i) {
    ASSERT_EQ(verdict(bytes.substr(0, i)), Verdict::kNeedMore) << i;
  }
  EXPECT_EQ(parse(bytes).server_name, "shop.example.com");
}

TEST(ClientHello, IsReadFromTwoRecordsThatPartAnywhere) {
  const Text hello = client_hello("shop.example.com", test::kPostQuantumShare);
  for (size_t i = 1; i < hello.size(); ++i) {
    const Text bytes = records(hello.substr(0, i)) + records(hello.substr(i));
    ASSERT_EQ(parse(bytes).server_name, "shop.example.com") << i;
  }
}

TEST(ClientHello, IsReadFromManySmallRecordsWhereverTheConnectionIsCut) {
  const Text hello = client_hello("shop.example.com");
  for (size_t each = 1; each <= hello.size(); each += 7) {
    const Text bytes = records(hello, each);
    for (size_t i = 0; i < bytes.size(); ++i) {
      ASSERT_EQ(verdict(bytes.substr(0, i)), Verdict::kNeedMore) << each << " " << i;
    }
    ASSERT_EQ(parse(bytes).server_name, "shop.example.com") << each;
  }
}

TEST(ClientHello, MayComeIn256RecordsAndNoMore) {
  const Text hello = client_hello("a.test", 10'000);
  const auto in_records = [&](size_t count) {
    return records(hello.substr(0, count - 1), 1) + records(hello.substr(count - 1));
  };
  EXPECT_EQ(parse(in_records(kMaxHelloRecords)).server_name, "a.test");
  EXPECT_EQ(verdict(in_records(kMaxHelloRecords + 1)), Verdict::kTooLarge);
}

TEST(ClientHello, WhatFollowsItDoesNotMatter) {
  EXPECT_EQ(parse(records(client_hello("a.test")) + "more").server_name, "a.test");
}

TEST(ClientHello, MayNameNobody) {
  const auto hello = parse(with_extensions(test::extension(0x0a0a, "")));
  EXPECT_EQ(hello.verdict, Verdict::kDone);
  EXPECT_EQ(hello.server_name, "");
}

TEST(ClientHello, MayHaveNoExtensionsAtAll) {
  EXPECT_EQ(verdict(records(test::message(test::fixed_part()))), Verdict::kDone);
}

TEST(ClientHello, MayHaveUpToSixteenKibibytes) {
  const auto sized_to = [](size_t size) {
    const Text rest = client_hello("a.test", 0);
    return records(client_hello("a.test", size - rest.size()));
  };
  EXPECT_EQ(parse(sized_to(kMaxClientHello)).server_name, "a.test");
  EXPECT_EQ(verdict(sized_to(kMaxClientHello + 1)), Verdict::kTooLarge);
}

TEST(ClientHello, IsRefusedAsTooLargeBeforeItHasCome) {
  EXPECT_EQ(verdict(Text("\x16\x03\x01\x00\x04\x01\x00\x40\x00", 9)), Verdict::kTooLarge);
}

TEST(ClientHello, OtherProtocolsAreToldByTheirFirstByte) {
  for (const char* text : {"G", "GET / HTTP/1.1\r\n", "SSH-2.0-x", "\x80\x2e\x01", "\x16\x02"}) {
    EXPECT_EQ(verdict(text), Verdict::kNotTls) << text;
  }
  EXPECT_EQ(verdict(Text(1, '\0')), Verdict::kNotTls);
}

TEST(ClientHello, NothingIsNotEnough) { EXPECT_EQ(verdict(""), Verdict::kNeedMore); }

TEST(ClientHello, AnotherMessageIsNone) {
  EXPECT_EQ(verdict(records(test::message("x", 2))), Verdict::kMalformed);
}

TEST(ClientHello, ARecordOfAnotherKindWithinItIsWrong) {
  const Text alert("\x15\x03\x03\x00\x02\x02\x28", 7);
  EXPECT_EQ(verdict(records(client_hello("a.test")).substr(0, 0) +
                    records(client_hello("a.test").substr(0, 20)) + alert),
            Verdict::kMalformed);
}

TEST(ClientHello, AnEmptyRecordIsWrong) {
  EXPECT_EQ(verdict(Text("\x16\x03\x01\x00\x00", 5)), Verdict::kMalformed);
}

TEST(ClientHello, ARecordAboveTheLimitIsWrong) {
  EXPECT_EQ(verdict(Text("\x16\x03\x01\x40\x01", 5)), Verdict::kMalformed);
}

TEST(ClientHello, TwoListsOfNamesAreWrong) {
  EXPECT_EQ(verdict(with_extensions(test::server_name("a.test") + test::server_name("b.test"))),
            Verdict::kMalformed);
}

TEST(ClientHello, TwoNamesInOneListAreWrong) {
  const Text host = test::number(0, 1) + test::sized("a.test", 2);
  EXPECT_EQ(verdict(with_extensions(test::extension(0, test::sized(host + host, 2)))),
            Verdict::kMalformed);
}

TEST(ClientHello, ANameThatIsOnlyADotIsWrong) {
  EXPECT_EQ(verdict(records(client_hello("."))), Verdict::kMalformed);
}

TEST(ClientHello, ANameWithAZeroByteOrASpaceIsWrong) {
  EXPECT_EQ(verdict(records(client_hello(Text("a.test\0.b.test", 14)))), Verdict::kMalformed);
  EXPECT_EQ(verdict(records(client_hello("a test"))), Verdict::kMalformed);
}

TEST(ClientHello, ANameHas253BytesAtMost) {
  const Text longest = Text(251, 'a') + ".b";
  EXPECT_EQ(parse(records(client_hello(longest + "."))).server_name, longest);
  EXPECT_EQ(verdict(records(client_hello("a" + longest))), Verdict::kMalformed);
}

TEST(ClientHello, AnEmptyListOrNameIsWrong) {
  EXPECT_EQ(verdict(with_extensions(test::extension(0, test::sized("", 2)))), Verdict::kMalformed);
  EXPECT_EQ(verdict(with_extensions(test::server_name(""))), Verdict::kMalformed);
}

TEST(ClientHello, NamesOfAnotherKindArePassedOver) {
  const Text other = test::number(7, 1) + test::sized("x", 2);
  const Text host = test::number(0, 1) + test::sized("a.test", 2);
  EXPECT_EQ(parse(with_extensions(test::extension(0, test::sized(other + host, 2)))).server_name,
            "a.test");
}

// Each length within it, one too large or one too small, is another message or none: never a crash.
TEST(ClientHello, EveryByteChangedIsAnsweredSomehow) {
  const Text bytes = records(client_hello("shop.example.com"));
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const int by : {1, -1, 0x80}) {
      Text changed = bytes;
      changed[i] = static_cast<char>(changed[i] + by);
      const auto hello = parse(changed);
      EXPECT_LE(hello.server_name.size(), bytes.size());
      EXPECT_TRUE(hello.verdict == Verdict::kDone || hello.server_name.empty());
    }
  }
}

TEST(ClientHello, EachLengthThatPointsBeyondItsPlaceIsWrong) {
  const Text name = test::number(0, 1) + test::sized("a.test", 2);
  const Text long_list = test::extension(0, test::number(name.size() + 1, 2) + name);
  const Text short_list = test::extension(0, test::number(name.size() - 1, 2) + name);
  EXPECT_EQ(verdict(with_extensions(long_list)), Verdict::kMalformed);
  EXPECT_EQ(verdict(with_extensions(short_list)), Verdict::kMalformed);
  const Text body = test::fixed_part() + test::number(9, 2) + test::extension(5, "");
  EXPECT_EQ(verdict(records(test::message(body))), Verdict::kMalformed);
}

}  // namespace
}  // namespace lb::proxy
