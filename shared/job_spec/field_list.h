// How values of each type are read and written, for the lists of keys (fields.cpp, data_fields.cpp).
#pragma once

#include <charconv>
#include <cmath>
#include <cstdio>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "shared/base/text.h"
#include "shared/job_spec/fields.h"

namespace strand {

inline std::string toml_string(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char buffer[8];
      std::snprintf(buffer, sizeof buffer, "\\u%04X", static_cast<unsigned>(c));
      out += buffer;
    } else {
      out += c;
    }
  }
  return out + '"';
}

// The shortest text that reads back to the same value, always with a point or exponent (TOML tells them from integers).
template <class T>
std::string toml_number(T value) {
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  std::string out(buffer, end);
  if (const size_t zero = out.find("e-0"); zero != std::string::npos) out.erase(zero + 2, 1);
  if (out.find_first_of(".en") == std::string::npos) out += ".0";
  return out;
}

inline std::string expected(const std::string& what, const TomlValue& value) {
  return concat("expected ", what, ", found ", value.type);
}

class FieldList {
 public:
  std::vector<Field> fields;

  template <class Get>
  void integer(const std::string& key, Get at) {
    fields.push_back({key, "integer",
                      [at](JobSpec* spec, const TomlValue& v) -> std::string {
                        const auto* i = std::get_if<int64_t>(&v.value);
                        if (i == nullptr) return expected("an integer", v);
                        auto& target = at(*spec);
                        if (std::is_unsigned_v<std::remove_reference_t<decltype(target)>> && *i < 0) {
                          return "must not be negative";
                        }
                        target = static_cast<std::remove_reference_t<decltype(target)>>(*i);
                        return "";
                      },
                      [at](const JobSpec& spec) { return concat(at(const_cast<JobSpec&>(spec))); }});
  }

  template <class Get>
  void number(const std::string& key, Get at) {
    fields.push_back({key, "number",
                      [at](JobSpec* spec, const TomlValue& v) -> std::string {
                        double x = 0;
                        if (const auto* d = std::get_if<double>(&v.value)) {
                          x = *d;
                        } else if (const auto* i = std::get_if<int64_t>(&v.value)) {
                          x = static_cast<double>(*i);
                        } else {
                          return expected("a number", v);
                        }
                        if (!std::isfinite(x)) return "must be finite";
                        auto& target = at(*spec);
                        target = static_cast<std::remove_reference_t<decltype(target)>>(x);
                        return "";
                      },
                      [at](const JobSpec& spec) { return toml_number(at(const_cast<JobSpec&>(spec))); }});
  }

  template <class Get>
  void boolean(const std::string& key, Get at) {
    fields.push_back({key, "boolean",
                      [at](JobSpec* spec, const TomlValue& v) -> std::string {
                        const auto* b = std::get_if<bool>(&v.value);
                        if (b == nullptr) return expected("true or false", v);
                        at(*spec) = *b;
                        return "";
                      },
                      [at](const JobSpec& spec) { return at(const_cast<JobSpec&>(spec)) ? "true" : "false"; }});
  }

  template <class Get>
  void text(const std::string& key, Get at) {
    fields.push_back({key, "string",
                      [at](JobSpec* spec, const TomlValue& v) -> std::string {
                        const auto* s = std::get_if<std::string>(&v.value);
                        if (s == nullptr) return expected("a string", v);
                        at(*spec) = *s;
                        return "";
                      },
                      [at](const JobSpec& spec) {
                        const std::string& s = at(const_cast<JobSpec&>(spec));
                        return s.empty() ? "" : toml_string(s);
                      }});
  }

  template <class Get>
  void texts(const std::string& key, Get at) {
    fields.push_back({key, "array of strings",
                      [at](JobSpec* spec, const TomlValue& v) -> std::string {
                        const auto* list = std::get_if<std::vector<std::string>>(&v.value);
                        if (list == nullptr) return expected("an array of strings", v);
                        at(*spec) = *list;
                        return "";
                      },
                      [at](const JobSpec& spec) { return list_of(at(const_cast<JobSpec&>(spec))); }});
  }

  // Integers count as numbers.
  template <class Get>
  void numbers(const std::string& key, Get at) {
    fields.push_back({key, "array of numbers",
                      [at](JobSpec* spec, const TomlValue& v) -> std::string {
                        const auto* list = std::get_if<std::vector<double>>(&v.value);
                        const auto* whole = std::get_if<std::vector<int64_t>>(&v.value);
                        const auto* texts = std::get_if<std::vector<std::string>>(&v.value);
                        const bool none = texts != nullptr && texts->empty();  // what an empty array is read as
                        if (list == nullptr && whole == nullptr && !none) return expected("an array of numbers", v);
                        auto& target = at(*spec);
                        target.clear();
                        if (list != nullptr) target = *list;
                        if (whole != nullptr) target.assign(whole->begin(), whole->end());
                        for (const double x : target) {
                          if (!std::isfinite(x)) return "must hold finite numbers";
                        }
                        return "";
                      },
                      [at](const JobSpec& spec) -> std::string {
                        std::vector<std::string> texts;
                        for (const double x : at(const_cast<JobSpec&>(spec))) texts.push_back(toml_number(x));
                        return texts.empty() ? "" : concat("[", join(texts, ", "), "]");
                      }});
  }

  template <class Get>
  void integers(const std::string& key, Get at) {
    fields.push_back({key, "array of integers",
                      [at](JobSpec* spec, const TomlValue& v) -> std::string {
                        const auto* list = std::get_if<std::vector<int64_t>>(&v.value);
                        const auto* texts = std::get_if<std::vector<std::string>>(&v.value);
                        const bool none = texts != nullptr && texts->empty();  // what an empty array is read as
                        if (list == nullptr && !none) return expected("an array of integers", v);
                        at(*spec) = none ? std::vector<int64_t>() : *list;
                        return "";
                      },
                      [at](const JobSpec& spec) -> std::string {
                        std::vector<std::string> texts;
                        for (const int64_t i : at(const_cast<JobSpec&>(spec))) texts.push_back(concat(i));
                        return texts.empty() ? "" : concat("[", join(texts, ", "), "]");
                      }});
  }

  // One of `names`, in the order of the enum's values.
  template <class Get>
  void choice(const std::string& key, std::vector<std::string> names, Get at) {
    const std::string type = join(names, " | ");
    fields.push_back({key, type,
                      [at, names, type](JobSpec* spec, const TomlValue& v) -> std::string {
                        const auto* s = std::get_if<std::string>(&v.value);
                        if (s == nullptr) return expected(concat("one of ", type), v);
                        for (size_t i = 0; i < names.size(); ++i) {
                          if (names[i] != *s) continue;
                          auto& target = at(*spec);
                          target = static_cast<std::remove_reference_t<decltype(target)>>(i);
                          return "";
                        }
                        const std::string nearest = nearest_name(*s, names);
                        return concat("expected one of ", type, ", found \"", *s, "\"",
                                      nearest.empty() ? "" : concat("; did you mean \"", nearest, "\"?"));
                      },
                      [at, names](const JobSpec& spec) {
                        return toml_string(names[static_cast<size_t>(at(const_cast<JobSpec&>(spec)))]);
                      }});
  }

  // How many, or their names: task.classes.
  void classes(const std::string& key) {
    fields.push_back({key, "integer | array of strings",
                      [](JobSpec* spec, const TomlValue& v) -> std::string {
                        spec->task.classes = 0;
                        spec->task.class_names.clear();
                        if (const auto* i = std::get_if<int64_t>(&v.value)) {
                          spec->task.classes = *i;
                        } else if (const auto* names = std::get_if<std::vector<std::string>>(&v.value)) {
                          spec->task.class_names = *names;
                        } else {
                          return expected("how many classes, or an array of their names", v);
                        }
                        return "";
                      },
                      [](const JobSpec& spec) {
                        const TaskSpec& t = spec.task;
                        return t.class_names.empty() ? concat(t.classes) : list_of(t.class_names);
                      }});
  }

  // "linear", or the widths of hidden layers: task.head.
  void head(const std::string& key) {
    fields.push_back({key, "linear | array of integers",
                      [](JobSpec* spec, const TomlValue& v) -> std::string {
                        const auto* text = std::get_if<std::string>(&v.value);
                        const auto* none = std::get_if<std::vector<std::string>>(&v.value);
                        const auto* widths = std::get_if<std::vector<int64_t>>(&v.value);
                        spec->task.head.clear();
                        if (widths != nullptr) {
                          spec->task.head = *widths;
                        } else if ((text == nullptr || *text != "linear") && (none == nullptr || !none->empty())) {
                          return expected("\"linear\", or an array with the width of each hidden layer", v);
                        }
                        return "";
                      },
                      [](const JobSpec& spec) -> std::string {
                        if (spec.task.head.empty()) return "\"linear\"";
                        std::vector<std::string> widths;
                        for (const int64_t width : spec.task.head) widths.push_back(concat(width));
                        return "[" + join(widths, ", ") + "]";
                      }});
  }

  static std::string list_of(const std::vector<std::string>& list) {
    if (list.empty()) return "";
    std::vector<std::string> quoted;
    for (const auto& s : list) quoted.push_back(toml_string(s));
    return "[" + join(quoted, ", ") + "]";
  }
};

}  // namespace strand
