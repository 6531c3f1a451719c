#include "shared/job_spec/toml_reader.h"

#include <toml++/toml.h>

#include <string_view>

#include "shared/base/text.h"

namespace strand {
namespace {

const char* kind_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table: return "table";
    case toml::node_type::array: return "array";
    case toml::node_type::string: return "string";
    case toml::node_type::integer: return "integer";
    case toml::node_type::floating_point: return "number";
    case toml::node_type::boolean: return "boolean";
    default: return "date or time";
  }
}

TomlValue convert(const toml::node& node) {
  TomlValue out;
  out.type = kind_name(node);
  if (const auto* b = node.as_boolean()) {
    out.value = b->get();
  } else if (const auto* i = node.as_integer()) {
    out.value = i->get();
  } else if (const auto* f = node.as_floating_point()) {
    out.value = f->get();
  } else if (const auto* s = node.as_string()) {
    out.value = s->get();
  } else if (const auto* array = node.as_array()) {
    std::vector<std::string> strings;
    std::vector<int64_t> integers;
    std::vector<double> numbers;
    for (const auto& element : *array) {
      if (const auto* text = element.as_string()) strings.push_back(text->get());
      if (const auto* integer = element.as_integer()) integers.push_back(integer->get());
      if (const auto number = element.value<double>()) numbers.push_back(*number);
    }
    out.type = "array";
    if (strings.size() == array->size()) {
      out.type = "array of strings";
      out.value = std::move(strings);
    } else if (integers.size() == array->size()) {
      out.type = "array of integers";
      out.value = std::move(integers);
    } else if (numbers.size() == array->size()) {
      out.type = "array of numbers";
      out.value = std::move(numbers);
    }
  }
  return out;
}

void add_entry(const std::string& name, const toml::node& node, const toml::source_position& place,
               std::vector<TomlEntry>* entries) {
  entries->push_back({name, convert(node), static_cast<int>(place.line), static_cast<int>(place.column), ""});
}

void flatten(const toml::table& table, const std::string& prefix, std::vector<TomlEntry>* entries) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    const auto* inner = node.as_table();
    const toml::array* rest = nullptr;  // whose tables but the first follow
    if (const auto* array = node.as_array(); array != nullptr && node.is_array_of_tables()) {
      inner = array->get(0)->as_table();
      rest = array;
    }
    if (inner != nullptr && !inner->empty()) {
      flatten(*inner, name + ".", entries);
    } else {
      // A key that only a [table] header defines has no place of its own.
      add_entry(name, inner != nullptr ? *inner : node,
                key.source().begin.line != 0 ? key.source().begin : node.source().begin, entries);
    }
    for (size_t i = 1; rest != nullptr && i < rest->size(); ++i) {
      const std::string element = concat(name, "[", i, "]");
      add_entry(element, toml::table(), rest->get(i)->source().begin, entries);
      flatten(*rest->get(i)->as_table(), element + ".", entries);
    }
  }
}

// Keys nest one level a dot, and a table is walked and freed by recursion: no real job file comes near this.
constexpr int kMostDotsInALine = 1000;

bool too_deep(const std::string& text, int* line) {
  int dots = 0;
  *line = 1;
  for (const char c : text) {
    if (c == '\n') {
      dots = 0;
      ++*line;
    }
    if (c == '.' && ++dots > kMostDotsInALine) return true;
  }
  return false;
}

}  // namespace

std::vector<TomlEntry> read_toml(const std::string& text, std::vector<SpecError>* errors) {
  std::vector<TomlEntry> entries;
  if (int line = 0; too_deep(text, &line)) {
    errors->push_back({line, 1, "", concat("more than ", kMostDotsInALine, " dots in one line: this is no job file")});
    return entries;
  }
  try {
    flatten(toml::parse(text), "", &entries);
  } catch (const toml::parse_error& e) {
    errors->push_back({static_cast<int>(e.source().begin.line), static_cast<int>(e.source().begin.column), "",
                       concat("not valid TOML: ", e.description())});
  }
  return entries;
}

std::vector<TomlEntry> read_toml_setting(const std::string& key, const std::string& value) {
  std::vector<SpecError> errors;
  // One line, so that what follows a line break is no second key.
  if (value.find_first_of("\r\n") == std::string::npos) {
    std::vector<TomlEntry> entries = read_toml("value = " + value, &errors);
    constexpr size_t kPlaceholder = std::string_view("value").size();
    for (TomlEntry& entry : entries)
      entry = {key + entry.key.substr(kPlaceholder), std::move(entry.value), 0, 0, value};
    if (errors.empty()) return entries;
  }
  return {{key, {value, "string"}, 0, 0, value}};
}

}  // namespace strand
