// Added tokens are found as Hugging Face's are. What is expected here was given by `tokenizers` 0.20.3;
// tests/parity/tokenizer_parity.py compares 20,000 more texts.
#include "dataserver/tokenizer/added_tokens.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "dataserver/tokenizer/token_trie.h"
#include "shared/base/text.h"

namespace strand {
namespace {

// Pieces in quotes, tokens by their content.
std::string cut(const std::vector<AddedToken>& tokens, std::string_view text) {
  const AddedTokenFinder literal(tokens, false), normalized(tokens, true);
  std::string out;
  const auto piece = [&out](std::string_view words) { out += concat("'", words, "' "); };
  const auto token = [&out](const AddedToken& found) { out += concat(found.content, " "); };
  literal.split(
      text, [&](std::string_view rest) { normalized.split(rest, piece, token); }, token);
  return out.empty() ? out : out.substr(0, out.size() - 1);
}

AddedToken plain(const std::string& content) {
  return {.id = 0, .content = content};
}

TEST(AddedTokens, LeftmostThenLongest) {
  const std::vector<AddedToken> tokens = {plain("ab"), plain("abc"), plain("bcd"), plain("[M]")};
  EXPECT_EQ(cut(tokens, "xabcd"), "'x' abc 'd'");
  EXPECT_EQ(cut(tokens, "abab[M][M]"), "ab ab [M] [M]");
  EXPECT_EQ(cut(tokens, "[[M]"), "'[' [M]");
  EXPECT_EQ(cut(tokens, "[M"), "'[M'");
  EXPECT_EQ(cut(tokens, ""), "");
  EXPECT_EQ(cut({}, "abc"), "'abc'");
}

TEST(AddedTokens, NormalizedOnesComeSecond) {
  std::vector<AddedToken> tokens = {plain("abc"), plain("bc")};
  tokens[0].normalized = true;
  EXPECT_EQ(cut(tokens, "abc"), "'a' bc");
  tokens[1].normalized = true;
  EXPECT_EQ(cut(tokens, "abc"), "abc");
}

TEST(AddedTokens, SingleWordsTouchNoWordCharacter) {
  AddedToken token = plain("motif");
  token.single_word = true;
  EXPECT_EQ(cut({token}, "motif motifs amotif (motif) motif_"), "motif ' motifs amotif (' motif ') motif_'");
  EXPECT_EQ(cut({token}, "émotif motif中 motif\u0301 ⓐmotif \u200dmotif"),
            "'émotif motif中 motif\u0301 ⓐmotif \u200dmotif'");
  EXPECT_EQ(cut({token}, "²motif 😀motif\xff"), "'²' motif ' 😀' motif '\xff'");
  // The search goes on behind a match that was refused, so the shorter token inside it is not seen.
  AddedToken inner = plain("tif");
  EXPECT_EQ(cut({token, inner}, "amotif tif"), "'amotif ' tif");
}

TEST(AddedTokens, StripsTakeTheSpaceAround) {
  AddedToken left = plain("<l>"), right = plain("<r>");
  left.lstrip = true;
  right.rstrip = true;
  EXPECT_EQ(cut({left, right}, "a \n<l> b <r>\u3000\tc"), "'a' <l> ' b ' <r> 'c'");
  EXPECT_EQ(cut({left, right}, " <l><r> "), "<l> <r>");
  EXPECT_EQ(cut({left, right}, "<r>  <l>"), "<r> <l>");
}

TEST(TokenTrie, LongestTextAtEveryPlace) {
  std::mt19937 random(51);  // seed 51
  for (int n = 0; n < 200; ++n) {
    std::map<std::string, int32_t> texts;
    for (size_t i = random() % 40; i > 0; --i) {
      std::string text;
      for (size_t length = 1 + random() % 5; length > 0; --length) text += "ab\x7f\x80\xff\x01"[random() % 6];
      texts.emplace(text, static_cast<int32_t>(texts.size()));
    }
    const TokenTrie trie({texts.begin(), texts.end()});
    EXPECT_EQ(trie.empty(), texts.empty());
    std::string text;
    for (int i = 0; i < 60; ++i) text += "ab\x7f\x80\xff\x01"[random() % 6];
    for (size_t at = 0; at < text.size(); ++at) {
      int32_t value = -1;
      size_t length = 0;
      for (const auto& [candidate, number] : texts) {
        if (candidate.size() > length && text.substr(at).starts_with(candidate))
          value = number, length = candidate.size();
      }
      const TokenTrie::Match match = trie.longest(text, at);
      EXPECT_EQ(match.value, value);
      EXPECT_EQ(match.length, length);
      EXPECT_TRUE(value < 0 || trie.starts(text[at]));
    }
  }
}

}  // namespace
}  // namespace strand
