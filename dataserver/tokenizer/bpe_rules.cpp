#include "dataserver/tokenizer/bpe_rules.h"

#include <algorithm>
#include <unordered_map>

namespace strand {

std::optional<BpeRules> BpeRules::make(const std::array<int32_t, 256>& letters, const std::vector<BpeMerge>& merges) {
  BpeRules rules;
  std::unordered_map<int32_t, uint32_t> numbers;  // by id
  for (size_t byte = 0; byte < letters.size(); ++byte) {
    if (letters[byte] < 0) continue;
    numbers.emplace(letters[byte], static_cast<uint32_t>(rules.tokens_.size()));
    rules.tokens_.push_back({.id = letters[byte], .bytes = std::string(1, static_cast<char>(byte))});
  }
  std::vector<const BpeMerge*> without_half;
  for (size_t place = 0; place < merges.size(); ++place) {
    const BpeMerge& merge = merges[place];
    const auto left = numbers.find(merge.left), right = numbers.find(merge.right);
    if (left == numbers.end() || right == numbers.end()) {
      without_half.push_back(&merge);
      continue;
    }
    const uint32_t rank = static_cast<uint32_t>(place) + 1;
    // A text has one encoding, so of several rules for one token at most one is ever used.
    if (!rules.holds(left->second, right->second, rank)) continue;
    std::string bytes = rules.tokens_[left->second].bytes + rules.tokens_[right->second].bytes;
    if (const auto known = numbers.find(merge.product); known != numbers.end()) {
      if (rules.tokens_[known->second].bytes != bytes) return std::nullopt;
      continue;
    }
    const uint32_t number = static_cast<uint32_t>(rules.tokens_.size());
    numbers.emplace(merge.product, number);
    rules.set_rank(left->second, right->second, rank);
    rules.tokens_.push_back({merge.product, rank, left->second, right->second, std::move(bytes)});
  }
  for (const BpeMerge* merge : without_half) {
    if (numbers.contains(merge->left) && numbers.contains(merge->right)) return std::nullopt;
  }
  rules.renumber();
  return rules;
}

bool BpeRules::holds(uint32_t left, uint32_t right, uint32_t limit) const {
  for (;;) {
    if (const uint32_t rank = rank_of(left, right); rank < limit) return false;
    const Token &a = tokens_[left], &b = tokens_[right];
    if (a.rank == 0 && b.rank == 0) return true;
    // Before a merge on the left was made, a rule of its own rank did not join the neighbours: places further left come
    // first. On the right it did.
    if (a.rank >= b.rank) {
      limit = std::min(limit, a.rank);
      left = a.right;
    } else {
      limit = std::min(limit, b.rank + 1);
      right = b.left;
    }
  }
}

void BpeRules::renumber() {
  const size_t size = tokens_.size();
  std::vector<std::vector<uint32_t>> below(size);  // by left half, in order of rank
  std::vector<uint32_t> open, order;
  for (uint32_t number = 0; number < size; ++number) {
    if (tokens_[number].left != kNone) below[tokens_[number].left].push_back(number);
  }
  for (uint32_t number = 0; number < size; ++number) {
    if (tokens_[number].left == kNone) open.push_back(number);
    while (!open.empty()) {
      const uint32_t next = open.back();
      open.pop_back();
      order.push_back(next);
      open.insert(open.end(), below[next].begin(), below[next].end());  // the highest rank is taken first
    }
  }
  std::vector<uint32_t> renamed(size);
  for (uint32_t number = 0; number < size; ++number) renamed[order[number]] = number;
  std::vector<Token> tokens(size);
  ranks_ = PairMap();
  for (uint32_t old = 0; old < size; ++old) {
    Token& token = tokens[renamed[old]];
    token = std::move(tokens_[old]);
    if (token.rank == 0) continue;
    token.left = renamed[token.left];
    token.right = renamed[token.right];
    set_rank(token.left, token.right, token.rank);
  }
  tokens_ = std::move(tokens);
}

}  // namespace strand
