// The door to toml++: a job file as a flat list of dotted keys with their places.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "shared/base/result.h"
#include "shared/job_spec/job_spec.h"

namespace strand {

struct TomlValue {
  // Arrays are of strings, of integers, or of numbers that are not all integers (an empty one: of strings); a table
  // that is empty, and what no key takes (dates, other arrays), is monostate.
  std::variant<std::monostate, bool, int64_t, double, std::string, std::vector<std::string>, std::vector<int64_t>,
               std::vector<double>>
      value;
  std::string type;  // "integer", "string", "array of strings", "table", ... as found
};

struct TomlEntry {
  std::string key;  // "data.holdout.fraction"
  TomlValue value;
  int line = 0, column = 0;
  std::string text;  // of --set only: the value as it was typed
};

// Tables, dotted keys and inline tables come out alike; an empty table is an entry of its own. The first table of an
// array comes out like a table; each further one is an entry "task[1]" of type "table", followed by its keys,
// "task[1].name". A syntax error is the only error there is, and leaves no entries.
std::vector<TomlEntry> read_toml(const std::string& text, std::vector<SpecError>* errors);
// The same for "--set key=value": the value as TOML, inline tables included, or as a plain string when it is none.
std::vector<TomlEntry> read_toml_setting(const std::string& key, const std::string& value);

}  // namespace strand
