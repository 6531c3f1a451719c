#include "shared/formats/json.h"

#include <algorithm>

#include "shared/base/text.h"

namespace strand {
namespace {

// Copying, comparing and printing a value recurse; no format of ours is anywhere near this deep.
constexpr int kDeepest = 100;

// Where the text nests more than kDeepest deep, or npos. Brackets within strings do not count.
size_t too_deep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (in_string) {
      if (c == '\\') ++at;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kDeepest) return at;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return std::string_view::npos;
}

}  // namespace

Result<Json> parse_json(std::string_view text, const std::string& origin) {
  if (const size_t at = too_deep(text); at != std::string_view::npos) {
    return bad_input(concat(origin, ": byte ", at, ": nested more than ", kDeepest, " deep; flatten it"));
  }
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::parse_error& e) {
    const size_t at = std::min(e.byte == 0 ? 0 : e.byte - 1, text.size());
    const std::string_view before = text.substr(0, at);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const auto last = before.rfind('\n');
    const size_t column = last == std::string_view::npos ? at + 1 : at - last;
    return bad_input(concat(origin, ": line ", line, ", column ", column, ": not valid JSON; correct the file there"));
  } catch (const std::exception& e) {
    return bad_input(concat(origin, ": not valid JSON: ", e.what()));
  }
}

std::string dump_json(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace strand
