#include "shared/job_spec/toml_reader.h"

#include <toml++/toml.h>

#include <sstream>

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

// False when no key takes such a value.
bool convert(const toml::node& node, TomlValue* out) {
  out->type = kind_name(node);
  if (const auto* b = node.as_boolean()) {
    out->value = b->get();
  } else if (const auto* i = node.as_integer()) {
    out->value = i->get();
  } else if (const auto* f = node.as_floating_point()) {
    out->value = f->get();
  } else if (const auto* s = node.as_string()) {
    out->value = s->get();
  } else if (const auto* array = node.as_array()) {
    std::vector<std::string> strings;
    for (const auto& element : *array) {
      if (!element.is_string()) return false;
      strings.push_back(element.as_string()->get());
    }
    out->type = "array of strings";
    out->value = std::move(strings);
  } else {
    return false;
  }
  return true;
}

void flatten(const toml::table& table, const std::string& prefix, std::vector<TomlEntry>* entries,
             std::vector<SpecError>* errors) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    if (const auto* inner = node.as_table()) {
      flatten(*inner, name + ".", entries, errors);
      continue;
    }
    TomlEntry entry;
    entry.key = name;
    // The key's own place; a key defined by a [table] header has the node's.
    const auto& place = key.source().begin.line != 0 ? key.source() : node.source();
    entry.line = static_cast<int>(place.begin.line);
    entry.column = static_cast<int>(place.begin.column);
    if (convert(node, &entry.value)) {
      entries->push_back(std::move(entry));
    } else if (node.is_array_of_tables()) {
      errors->push_back({entry.line, entry.column, name,
                         concat("[[", name, "]] is not part of this version: only pretraining jobs are built")});
    } else {
      errors->push_back({entry.line, entry.column, name,
                         concat("expected a boolean, number, string or array of strings, found ",
                                node.is_array() ? "an array of something else" : kind_name(node))});
    }
  }
}

}  // namespace

std::vector<TomlEntry> read_toml(const std::string& text, std::vector<SpecError>* errors) {
  std::vector<TomlEntry> entries;
  try {
    const toml::table table = toml::parse(text);
    flatten(table, "", &entries, errors);
  } catch (const toml::parse_error& e) {
    errors->push_back({static_cast<int>(e.source().begin.line), static_cast<int>(e.source().begin.column), "",
                       concat("not valid TOML: ", e.description())});
  }
  return entries;
}

TomlValue read_toml_value(const std::string& text) {
  TomlValue value;
  try {
    const toml::table table = toml::parse("value = " + text);
    if (table.size() == 1 && convert(*table.get("value"), &value)) return value;
  } catch (const toml::parse_error&) {
    // not TOML: a string without quotes, as a shell user writes it
  }
  value.type = "string";
  value.value = text;
  return value;
}

}  // namespace strand
