// The wire contract: strict codec between JSON text and the desired state.
//
// Decoding refuses the whole document with a pointer to the place: code "Syntax" (400: malformed
// text, duplicate members, invalid UTF-8), "TooLarge"/"TooDeep" (413), "Schema" (422: unknown
// field, wrong type, out of range, unknown enum value, duplicate key or port). What it returns is
// normalised. Encoding writes only fields that differ from their default, in a fixed order, so
// equal values give equal bytes. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "common/model/result.hpp"
#include "common/model/state.hpp"

namespace lb {

inline constexpr size_t kMaxStateBytes = 64u << 20;
inline constexpr size_t kMaxDepth = 32;

Result<DesiredState> decode_state(std::string_view text);
Result<StatePatch> decode_patch(std::string_view text);
// One policy object over what it overrides; its lists are as they were written.
Result<Policy> decode_policy(std::string_view text, Policy base);
Result<ApplyResult> decode_apply_result(std::string_view text);  // tolerant of unknown fields

std::string encode_state(const DesiredState& state);
std::string encode_patch(const StatePatch& patch);
std::string encode_apply_result(const ApplyResult& result);

// {"reason", "message", "pointer"?, "epoch"?, "generation"?}; `held` is written when not null.
std::string encode_error(const Error& error, const Version* held = nullptr);

// The HTTP status that goes with an error of this codec or of the order rules ("Order": 409,
// "OutOfMemory": 503).
int http_status(const Error& error);

}  // namespace lb
