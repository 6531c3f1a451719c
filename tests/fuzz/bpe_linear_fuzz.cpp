// Any bytes as byte-pair rules and a text: linear encoding gives what merging by definition gives.
// The first byte chooses the alphabet and the number of rules; two bytes for each rule, tokens before it modulo their
// number (a rule without a halves' order where the first byte is odd); the rest is the text, letters modulo the
// alphabet.
#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataserver/tokenizer/bpe_model.h"
#include "shared/base/check.h"
#include "tests/fuzz/fuzz_main.h"

int fuzz_one(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint8_t kind = data[0];
  const std::string_view alphabet = kind & 2 ? "ACGT" : kind & 4 ? "ab" : "abcde";
  std::vector<std::string> vocabulary = {"[UNK]"};
  std::unordered_map<std::string, int32_t> ids;
  for (const char letter : alphabet) {
    ids.emplace(std::string(1, letter), static_cast<int32_t>(vocabulary.size()));
    vocabulary.emplace_back(1, letter);
  }
  std::vector<strand::BpeMerge> merges;
  std::set<std::pair<size_t, size_t>> seen;
  size_t at = 1;
  for (size_t rules = kind >> 3; rules > 0 && at + 2 < size; --rules, at += 2) {
    const size_t left = 1 + data[at] % (vocabulary.size() - 1), right = 1 + data[at + 1] % (vocabulary.size() - 1);
    std::string text = vocabulary[left] + vocabulary[right];
    if (text.size() > 40 || !seen.emplace(left, right).second) continue;
    const auto [found, added] = ids.emplace(text, static_cast<int32_t>(vocabulary.size()));
    if (added) vocabulary.push_back(std::move(text));
    merges.push_back({static_cast<int32_t>(left), static_cast<int32_t>(right), found->second});
  }
  if (kind & 1) std::reverse(merges.begin(), merges.end());
  std::string text;
  for (; at < size; ++at) text += alphabet[data[at] % alphabet.size()];
  const strand::BpeModel model(vocabulary, merges, 0);
  std::vector<int32_t> linear, merged;
  model.encode_word(text, &linear);
  model.encode_word_by_merging(text, &merged);
  STRAND_CHECK(linear == merged, text);
  return 0;
}
