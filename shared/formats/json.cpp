#include "shared/formats/json.h"

#include <algorithm>

#include "shared/base/text.h"

namespace strand {

Result<Json> parse_json(std::string_view text, const std::string& origin) {
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
