// What a data plane answers, as the controller and as `empalme` read it.
#include <algorithm>

#include "controller/dataplane_json.hpp"
#include "empalme/flow_table.hpp"
#include "empalme/status_table.hpp"
#include "tests/fuzz/target.hpp"

namespace {

using lb::fuzz::must;

// A terminal obeys control characters: those of one byte and those of two in UTF-8.
void check_shown(const std::string& text) {
  const auto control = [](unsigned char c) { return (c < 0x20 && c != '\n') || c == 0x7f; };
  must(std::ranges::none_of(text, control), "a terminal is given text only");
  for (size_t at = 0; (at = text.find('\xc2', at)) != std::string::npos; ++at) {
    const auto next = at + 1 < text.size() ? static_cast<unsigned char>(text[at + 1]) : 0xff;
    must(next < 0x80 || next > 0x9f, "a terminal is given no control character of two bytes");
  }
}

template <class Table>
void check_table(Table table, std::string_view text) {
  const auto shown = table(text);
  check_shown(shown.ok() ? *shown : shown.error().message);
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto text = lb::fuzz::as_text(data, size);
  const auto status = lb::controller::decode_status(text);
  must(status.ok() || !status.error().code.empty(), "a refusal has a reason");
  lb::controller::decode_refusal(text);
  check_table(lb::cli::status_table, text);
  check_table(lb::cli::flow_table, text);
  check_table(lb::cli::drain_table, text);
  check_shown(lb::cli::refusal_text(text));
  return 0;
}
