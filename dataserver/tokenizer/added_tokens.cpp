#include "dataserver/tokenizer/added_tokens.h"

#include <algorithm>

#include "dataserver/tokenizer/unicode_class.h"
#include "dataserver/tokenizer/utf8.h"

namespace strand {
namespace {

std::vector<AddedToken> select(const std::vector<AddedToken>& tokens, bool normalized) {
  std::vector<AddedToken> selected;
  for (const AddedToken& token : tokens) {
    if (token.normalized == normalized) selected.push_back(token);
  }
  return selected;
}

std::vector<std::pair<std::string, int32_t>> contents(const std::vector<AddedToken>& tokens) {
  std::vector<std::pair<std::string, int32_t>> texts;
  for (const AddedToken& token : tokens) texts.emplace_back(token.content, static_cast<int32_t>(texts.size()));
  return texts;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(const std::vector<AddedToken>& tokens, bool normalized)
    : tokens_(select(tokens, normalized)), trie_(contents(tokens_)) {
  const auto first_of = [](const AddedToken& token) { return static_cast<uint8_t>(token.content[0]); };
  if (tokens_.empty()) return;
  const uint8_t first = first_of(tokens_[0]);
  if (std::all_of(tokens_.begin(), tokens_.end(), [&](const auto& token) { return first_of(token) == first; })) {
    only_first_ = first;
  }
}

bool AddedTokenFinder::stands_alone(std::string_view text, size_t begin, size_t end) {
  return (begin == 0 || !is_word_character(character_before(text, begin).code)) &&
         (end == text.size() || !is_word_character(character_at(text, end).code));
}

size_t AddedTokenFinder::space_before(std::string_view text, size_t start, size_t at) {
  while (at > start) {
    const Character before = character_before(text, at);
    if (!is_white_space(before.code)) break;
    at -= before.bytes;
  }
  return std::max(at, start);
}

size_t AddedTokenFinder::space_behind(std::string_view text, size_t at) {
  while (at < text.size()) {
    const Character next = character_at(text, at);
    if (!is_white_space(next.code)) break;
    at += next.bytes;
  }
  return at;
}

}  // namespace strand
