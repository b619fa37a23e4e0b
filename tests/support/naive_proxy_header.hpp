// A second parser of PROXY headers, written in another way than the one under test, for tests that
// compare the two. Slow, pure; any thread.
//
// Reference: HAProxy's doc/proxy-protocol.txt, and the choices listed in proxy_header.hpp.
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/proxy/proxy_header.hpp"

namespace lb::proxy::test {

// One line for one verdict, to compare and to print: "more", "bad" or "done LENGTH ...".
std::string told(const ParseResult& result);
// What told() must say of the parser's result for these bytes.
std::string naive_verdict(const std::string& bytes);

// CRC-32C bit by bit from the polynomial, not by the table of the code under test.
uint32_t slow_crc(const std::string& bytes);

}  // namespace lb::proxy::test
