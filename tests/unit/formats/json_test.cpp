// Reading JSON: the same values as the library's own reader, in linear time.
#include "shared/formats/json.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "shared/base/text.h"

namespace strand {
namespace {

// Our builder of JSON values against the library's own, which is quadratic in the keys of an object.
TEST(ParseJson, EqualsTheLibrary) {
  const std::vector<std::string> pieces = {"{",           "}",  "[",     "]",     "\"a\":", "\"b\":", "\"a\"",
                                           "1",           "-2", "0.5",   "null",  "true",   ",",      ",",
                                           "\"\\u00e9\"", " ",  "1e400", "\"\":", "{}",     "[]"};
  std::mt19937 random(54);  // seed 54
  int valid = 0;
  for (int n = 0; n < 60'000; ++n) {
    std::string text;
    for (size_t i = 1 + random() % 8; i > 0; --i) text += pieces[random() % pieces.size()];
    const auto ours = parse_json(text, "test");
    const Json theirs = Json::parse(text, nullptr, false);
    ASSERT_EQ(ours.ok(), !theirs.is_discarded()) << text;
    if (!ours.ok()) continue;
    EXPECT_EQ(ours.value().dump(), theirs.dump()) << text;
    ++valid;
  }
  EXPECT_GT(valid, 1500);
}

TEST(ParseJson, LastOfTwoKeysCountsAndErrorsHaveAPlace) {
  EXPECT_EQ(parse_json(R"({"a": 1, "b": 2, "a": {"c": 3}, "b": []})", "test").value().dump(),
            R"({"a":{"c":3},"b":[]})");
  const auto wrong = parse_json("{\"a\": 1,\n \"b\" 2}", "file.json");
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(wrong.error().message().find("file.json: line 2, column 6"), std::string::npos) << wrong.error().message();
}

TEST(ParseJson, ManyKeysTakeLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 300'000; ++i) text += concat(i == 0 ? "" : ",", "\"k", i, "\":", i);
  // Looking through all keys for each new one takes minutes.
  EXPECT_EQ(parse_json(text + "}", "test").value().size(), 300'000u);
}

}  // namespace
}  // namespace strand
