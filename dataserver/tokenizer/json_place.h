// What readers of tokenizer files share: looking things up in JSON, and naming the place of what is wrong.
#pragma once

#include <string>
#include <utility>

#include "shared/base/result.h"
#include "shared/base/text.h"
#include "shared/formats/json.h"

namespace strand {

// A value as an error shows it: at most 60 characters; of lists and objects the kind.
inline std::string quoted(const Json& value) {
  std::string text = value.is_structured() ? std::string(value.type_name()) : dump_json(value);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

// Null when absent, like a key that is there with the value null. `object` is an object.
inline const Json& get(const Json& object, const char* key) {
  static const Json null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

// A file that is being read.
class FilePlace {
 public:
  explicit FilePlace(std::string origin) : origin_(std::move(origin)) {}

  const std::string& origin() const { return origin_; }
  Error wrong(const std::string& where, const std::string& expected, const Json& found) const {
    return bad_input(concat(origin_, ": ", where, ": expected ", expected, ", found ", quoted(found)));
  }
  Error refused(const std::string& where, const std::string& what) const {
    return bad_input(concat(origin_, ": ", where, ": ", what));
  }

 private:
  std::string origin_;
};

}  // namespace strand
