// The fuzz driver's own properties: reproducible, bounded, and able to reach each kind of change.
#include "tests/fuzz/mutator.h"

#include <gtest/gtest.h>

#include <set>

namespace strand::fuzz {
namespace {

TEST(Mutator, SameSeedSameInputs) {
  Mutator one(7, {"abc", "{\"a\": 12}"}, {"word"}, 1000);
  Mutator two(7, {"abc", "{\"a\": 12}"}, {"word"}, 1000);
  Mutator other(8, {"abc", "{\"a\": 12}"}, {"word"}, 1000);
  int different = 0;
  for (int i = 0; i < 1000; ++i) {
    const Input input = one.next();
    EXPECT_EQ(input, two.next());
    different += input != other.next();
  }
  EXPECT_GT(different, 900);
}

TEST(Mutator, KeepsTheBoundAndReachesEveryKindOfChange) {
  Mutator mutator(1, {"{\"first\": 17}", std::string(90, 'x')}, {"dictionary"}, 100);
  std::set<size_t> sizes;
  bool word = false, edge = false, spliced = false;
  for (int i = 0; i < 20000; ++i) {
    const Input input = mutator.next();
    EXPECT_LE(input.size(), 100u);
    sizes.insert(input.size());
    word |= input.find("dictionary") != Input::npos;
    edge |= input.find("18446744073709551615") != Input::npos;
    spliced |= input.find("\"first\"") != Input::npos && input.find("xxxxxxxx") != Input::npos;
  }
  EXPECT_GT(sizes.size(), 90u);
  EXPECT_TRUE(word && edge && spliced);
}

TEST(Mutator, WorksWithoutCorpusAndDictionary) {
  Mutator mutator(1, {}, {}, 64);
  std::set<Input> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(mutator.next());
  EXPECT_GT(seen.size(), 100u);
}

TEST(Dictionary, ReadsEscapesAndNamesTheBadLine) {
  const auto words = parse_dictionary("# comment\n\"[UNK]\"\n\n\"a\\x00\\\"\\\\\"\n", "x.dict");
  ASSERT_TRUE(words.ok()) << words.error().message();
  EXPECT_EQ(words.value(), (std::vector<Input>{"[UNK]", std::string("a\0\"\\", 4)}));
  for (const char* bad : {"word", "\"", "\"\"", "\"\\x0\"", "\"\\q\""}) {
    const auto result = parse_dictionary(std::string("\"fine\"\n") + bad, "x.dict");
    ASSERT_FALSE(result.ok()) << bad;
    EXPECT_NE(result.error().message().find("x.dict: line 2"), std::string::npos);
  }
}

}  // namespace
}  // namespace strand::fuzz
