// Tokens that are found in the text before the model sees it, as Hugging Face's AddedVocabulary does.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataserver/tokenizer/token_trie.h"

namespace strand {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = true;
  bool normalized = false;   // searched for after the others, in what they leave
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space behind it
  bool operator==(const AddedToken&) const = default;
};

class AddedTokenFinder {
 public:
  // Those of `tokens` with this `normalized`.
  AddedTokenFinder(const std::vector<AddedToken>& tokens, bool normalized);

  // Calls between(piece) and found(token) in the order of the text; pieces are not empty. Of the matches at the
  // leftmost place the longest counts. A match that is refused because a word touches it stays text, and the search
  // goes on behind it.
  template <class Between, class Found>
  void split(std::string_view text, Between between, Found found) const {
    size_t start = 0;
    for (size_t at = 0; !trie_.empty() && at < text.size();) {
      if (!trie_.starts(text[at])) {
        at = next_start(text, at + 1);
        continue;
      }
      const TokenTrie::Match match = trie_.longest(text, at);
      if (match.value < 0) {
        ++at;
        continue;
      }
      const AddedToken& token = tokens_[static_cast<size_t>(match.value)];
      const size_t end = at + match.length;
      if (!token.single_word || stands_alone(text, at, end)) {
        const size_t begin = token.lstrip ? space_before(text, start, at) : at;
        if (start < begin) between(text.substr(start, begin - start));
        found(token);
        start = token.rstrip ? space_behind(text, end) : end;
      }
      at = end;
    }
    if (start < text.size()) between(text.substr(start));
  }

 private:
  // The first place from `at` on where a token might start.
  size_t next_start(std::string_view text, size_t at) const {
    if (only_first_ >= 0) return std::min(text.find(static_cast<char>(only_first_), at), text.size());
    while (at < text.size() && !trie_.starts(text[at])) ++at;
    return at;
  }
  static bool stands_alone(std::string_view text, size_t begin, size_t end);
  // Where the white space that ends at `at` begins, not before `start`.
  static size_t space_before(std::string_view text, size_t start, size_t at);
  static size_t space_behind(std::string_view text, size_t at);

  std::vector<AddedToken> tokens_;
  TokenTrie trie_;
  int only_first_ = -1;  // the byte that all tokens begin with, or -1
};

}  // namespace strand
