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
  std::variant<bool, int64_t, double, std::string, std::vector<std::string>> value;  // arrays: of strings only
  std::string type;  // "integer", "string", "array of strings", ... as found
};

struct TomlEntry {
  std::string key;  // "data.holdout.fraction"
  TomlValue value;
  int line = 0, column = 0;
};

// Tables, dotted keys and inline tables come out alike. Syntax errors and values of kinds no key takes (dates, arrays
// of tables) are appended to `errors` with their place.
std::vector<TomlEntry> read_toml(const std::string& text, std::vector<SpecError>* errors);
// The value part of --set key=value: as TOML, or as a plain string when it is none.
TomlValue read_toml_value(const std::string& text);

}  // namespace strand
