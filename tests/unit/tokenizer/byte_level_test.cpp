// The byte-level alphabet, UTF-8 and GPT-2's rule for words, against slower readings of the same definitions.
#include "dataserver/tokenizer/byte_level.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "dataserver/tokenizer/unicode_class.h"
#include "dataserver/tokenizer/utf8.h"

namespace strand {
namespace {

TEST(ByteLetters, PublishedTable) {
  EXPECT_EQ(to_byte_letters(" \n\t\r"), "ĠĊĉč");
  EXPECT_EQ(to_byte_letters(std::string("\0\x7f\x80\xa0\xad\xff", 6)), "ĀġĢłŃÿ");
  EXPECT_EQ(letter_of_byte('!'), '!');
  EXPECT_EQ(letter_of_byte(0xa1), 0xa1u);
  EXPECT_EQ(letter_of_byte(0xad), 0x143u);  // the last of the 68
  std::set<uint32_t> letters;
  for (int byte = 0; byte < 256; ++byte) {
    const uint32_t letter = letter_of_byte(static_cast<uint8_t>(byte));
    letters.insert(letter);
    EXPECT_EQ(byte_of_letter(letter), byte);
    EXPECT_NE(character_class(letter), CharacterClass::kWhiteSpace) << byte;
  }
  EXPECT_EQ(letters.size(), 256u);
  int known = 0;
  for (uint32_t code = 0; code < 0x200; ++code) known += byte_of_letter(code) >= 0;
  EXPECT_EQ(known, 256);
}

TEST(ByteLetters, AnyBytesComeBack) {
  std::mt19937 random(41);  // seed 41
  for (int n = 0; n < 200; ++n) {
    std::string bytes;
    for (size_t i = random() % 50; i > 0; --i) bytes += static_cast<char>(random());
    EXPECT_EQ(from_byte_letters(to_byte_letters(bytes)), bytes);
  }
  EXPECT_EQ(from_byte_letters("Ġthe"), " the");
  EXPECT_EQ(from_byte_letters("<s>"), "<s>");
  EXPECT_EQ(from_byte_letters("a b"), "a b");  // a space is no letter: the text itself
  EXPECT_EQ(from_byte_letters("Ġ中"), "Ġ中");
}

TEST(Utf8, EveryCharacterAndNothingElse) {
  for (uint32_t code = 0; code <= 0x10ffff; ++code) {
    std::string text;
    append_utf8(code, &text);
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    const Character character = character_at(text, 0);
    ASSERT_EQ(character.code, surrogate ? kReplacement : code);
    ASSERT_EQ(character.bytes, surrogate ? 1 : text.size());
    ASSERT_EQ(character_before(text, text.size()).code, surrogate ? kReplacement : code);
  }
  // Overlong, too large, cut short, out of place.
  for (const char* text :
       {"\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
        "\xf8\x88\x80\x80\x80", "\x80", "\xbf", "\xe4\xb8", "\xf0\x9f\x98", "\xc3", "\xff", "\xc3\x28"}) {
    EXPECT_EQ(character_at(text, 0).code, kReplacement) << text;
    EXPECT_EQ(character_at(text, 0).bytes, 1u) << text;
  }
}

TEST(UnicodeClasses, KnownCharacters) {
  const auto classes = [](std::initializer_list<uint32_t> codes, CharacterClass expected) {
    for (const uint32_t code : codes) EXPECT_EQ(character_class(code), expected) << std::hex << code;
  };
  classes({'A', 'z', 0xaa, 0xe9, 0x2b0, 0x416, 0x5d0, 0x4e2d, 0xac00, 0x1d400}, CharacterClass::kLetter);
  classes({'0', '9', 0xb2, 0xbd, 0x663, 0x2160, 0x3007, 0x1d7d8}, CharacterClass::kNumber);
  classes({' ', '\t', '\n', 0x0b, 0x0c, '\r', 0x85, 0xa0, 0x2009, 0x2028, 0x3000}, CharacterClass::kWhiteSpace);
  classes({'_', '-', '\'', 0x1c, 0x200b, 0x301, 0x24d0, 0xfffd, 0xfeff, 0x1f600, 0x378, 0x10ffff},
          CharacterClass::kOther);
  for (const uint32_t code : {uint32_t{'_'}, 0x301u, 0x24d0u, 0x200du, 0x2160u, 0x663u, 0x203fu}) {
    EXPECT_TRUE(is_word_character(code)) << std::hex << code;
  }
  for (const uint32_t code : {uint32_t{'-'}, 0xb2u, 0xbdu, 0x200bu, 0x1f600u, uint32_t{' '}}) {
    EXPECT_FALSE(is_word_character(code)) << std::hex << code;
  }
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> list;
  for (size_t at = 0; at < text.size();) {
    const size_t end = word_end(text, at);
    list.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return list;
}

using Words = std::vector<std::string>;

TEST(WordRule, Examples) {
  EXPECT_EQ(words("Domain: DNA Promoter\nSequence: AACC"),
            (Words{"Domain", ":", " DNA", " Promoter", "\n", "Sequence", ":", " AACC"}));
  EXPECT_EQ(words("it's they'll DON'T x'd'"), (Words{"it", "'s", " they", "'ll", " DON", "'", "T", " x", "'d", "'"}));
  EXPECT_EQ(words("a  b   12.5\t\tc \n"), (Words{"a", " ", " b", "  ", " 12", ".", "5", "\t", "\t", "c", " \n"}));
  EXPECT_EQ(words("!'s 's \xc2\xa0x"), (Words{"!'", "s", " '", "s", " ", "\xc2\xa0", "x"}));
  EXPECT_EQ(words("中文 é½x_y"), (Words{"中文", " é", "½", "x", "_", "y"}));
  EXPECT_EQ(words("a\xff\xfe b \xc3"), (Words{"a", "\xff\xfe", " b", " \xc3"}));
  EXPECT_EQ(words("   "), Words{"   "});
  EXPECT_EQ(words(""), Words{});
}

// The regular expression, alternative by alternative, each with its backtracking written out.
class Regex {
 public:
  explicit Regex(std::string_view text) {
    for (size_t at = 0; at < text.size(); at += character_bytes(text, at)) {
      starts_.push_back(at);
      codes_.push_back(character_at(text, at).code);
    }
    starts_.push_back(text.size());
  }

  std::vector<size_t> ends() const {
    std::vector<size_t> ends;
    for (size_t at = 0; at < codes_.size();) {
      at += match(at);
      ends.push_back(starts_[at]);
    }
    return ends;
  }

 private:
  bool is(size_t at, CharacterClass kind) const { return at < codes_.size() && character_class(codes_[at]) == kind; }
  bool literal(size_t at, const char* text) const {
    for (; *text != 0; ++text, ++at) {
      if (at >= codes_.size() || codes_[at] != static_cast<uint32_t>(*text)) return false;
    }
    return true;
  }
  size_t run(size_t at, CharacterClass kind) const {
    size_t count = 0;
    while (is(at + count, kind)) ++count;
    return count;
  }
  size_t match(size_t at) const {
    for (const char* ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
      if (literal(at, ending)) return std::char_traits<char>::length(ending);
    }
    for (const CharacterClass kind : {CharacterClass::kLetter, CharacterClass::kNumber, CharacterClass::kOther}) {
      const size_t space = codes_[at] == ' ' ? 1 : 0;
      if (const size_t count = run(at + space, kind); count > 0) return space + count;
    }
    const size_t spaces = run(at, CharacterClass::kWhiteSpace);
    for (size_t count = spaces; count > 0; --count) {  // \s+(?!\S)
      const bool ends = at + count == codes_.size();
      if (ends || is(at + count, CharacterClass::kWhiteSpace)) return count;
    }
    return spaces;
  }

  std::vector<size_t> starts_;
  std::vector<uint32_t> codes_;
};

TEST(WordRule, EqualsTheExpression) {
  const std::vector<std::string> pieces = {"'",      "s",      "t",      "re", "'ve",  "ll",   "d",      "A",
                                           "é",      "中",     "1",      "½",  " ",    "  ",   "\n",     "\t",
                                           "\u00a0", "\u3000", ".",      "-",  "\xff", "\xc3", "\u0301", "\u200b",
                                           "😀",      "ACGT",   "\u2028", "_",  "'LL",  "\r\n"};
  std::mt19937 random(42);  // seed 42
  for (int n = 0; n < 20'000; ++n) {
    std::string text;
    for (size_t i = random() % 12; i > 0; --i) text += pieces[random() % pieces.size()];
    std::vector<size_t> ends;
    std::string joined;
    for (const std::string& word : words(text)) {
      ASSERT_FALSE(word.empty());
      joined += word;
      ends.push_back(joined.size());
    }
    EXPECT_EQ(joined, text);
    EXPECT_EQ(ends, Regex(text).ends()) << text;
  }
}

TEST(WordRule, RandomBytesAreAllCovered) {
  std::mt19937 random(43);  // seed 43
  for (int n = 0; n < 2000; ++n) {
    std::string text, joined;
    for (size_t i = random() % 60; i > 0; --i) text += static_cast<char>(random());
    for (const std::string& word : words(text)) joined += word;
    EXPECT_EQ(joined, text);
  }
}

}  // namespace
}  // namespace strand
