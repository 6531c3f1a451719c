// The door to nlohmann-json.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "shared/base/result.h"

namespace strand {

using Json = nlohmann::ordered_json;  // keeps the order of keys

// Parses text; an error names `origin`, line and column. Never throws; duplicate keys keep the last.
// Nesting beyond 100 is refused. Objects are lists: a lookup is linear in the number of keys.
Result<Json> parse_json(std::string_view text, const std::string& origin);

// Text of a value; never throws: invalid UTF-8 is replaced, NaN and infinity become null. indent < 0: one line.
std::string dump_json(const Json& json, int indent = -1);

}  // namespace strand
