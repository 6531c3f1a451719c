#include "shared/formats/json.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

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

// Builds the value as the parser reads it. The library's own builder looks through all keys of an object for each new
// one, which takes seconds on a vocabulary of 50,000 tokens; this one looks for keys that came twice at the object's
// end. The functions and their names are the library's SAX interface; returning false ends the parse.
class Builder {
 public:
  Json root;
  size_t error_at = 0;  // bytes read when the text stopped being JSON

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(Json::number_integer_t value) { return add(value); }
  bool number_unsigned(Json::number_unsigned_t value) { return add(value); }
  bool number_float(Json::number_float_t value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(Json::binary_t& value) { return add(std::move(value)); }
  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    // The value follows: add() finds its place at the end.
    open_.back()->get_ref<Json::object_t&>().emplace_back(std::move(name), Json());
    return true;
  }
  bool end_object() {
    keep_last(open_.back()->get_ref<Json::object_t&>());
    return close();
  }
  bool parse_error(size_t position, const std::string&, const Json::exception&) {
    error_at = position;
    return false;
  }

 private:
  bool add(Json value) {
    place() = std::move(value);
    return true;
  }
  // Pointers stay valid: only the innermost open list or object grows.
  bool open(Json value) {
    Json& here = place();
    here = std::move(value);
    open_.push_back(&here);
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  Json& place() {
    if (open_.empty()) return root;
    Json& parent = *open_.back();
    if (parent.is_object()) return parent.get_ref<Json::object_t&>().back().second;
    auto& list = parent.get_ref<Json::array_t&>();
    list.emplace_back();
    return list.back();
  }

  // A key that came twice keeps its first place and its last value.
  static void keep_last(Json::object_t& object) {
    std::vector<Json::object_t::value_type>& entries = object;
    std::unordered_map<std::string_view, size_t> first;
    for (size_t i = 0; i < entries.size(); ++i) first.emplace(entries[i].first, i);
    if (first.size() == entries.size()) return;
    Json::object_t kept_object;
    std::vector<Json::object_t::value_type>& kept = kept_object;
    first.clear();
    for (auto& [name, value] : entries) {
      const auto [found, added] = first.emplace(name, kept.size());
      if (added) {
        kept.emplace_back(name, std::move(value));
      } else {
        kept[found->second].second = std::move(value);
      }
    }
    object = std::move(kept_object);
  }

  std::vector<Json*> open_;
};

}  // namespace

Result<Json> parse_json(std::string_view text, const std::string& origin) {
  if (const size_t at = too_deep(text); at != std::string_view::npos) {
    return bad_input(concat(origin, ": byte ", at, ": nested more than ", kDeepest, " deep; flatten it"));
  }
  Builder builder;
  if (Json::sax_parse(text.begin(), text.end(), &builder)) return std::move(builder.root);
  const size_t at = std::min(builder.error_at == 0 ? 0 : builder.error_at - 1, text.size());
  const std::string_view before = text.substr(0, at);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const auto last = before.rfind('\n');
  const size_t column = last == std::string_view::npos ? at + 1 : at - last;
  return bad_input(concat(origin, ": line ", line, ", column ", column, ": not valid JSON; correct the file there"));
}

std::string dump_json(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace strand
