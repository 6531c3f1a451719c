#include "dataserver/tokenizer/byte_bpe.h"

#include <algorithm>

#include "dataserver/tokenizer/backtrack.h"

namespace strand {
namespace {

std::vector<std::pair<std::string, int32_t>> numbered(const std::vector<BpeRules::Token>& tokens) {
  std::vector<std::pair<std::string, int32_t>> texts;
  for (const BpeRules::Token& token : tokens) texts.emplace_back(token.bytes, static_cast<int32_t>(texts.size()));
  return texts;
}

}  // namespace

template <class Pairs>
struct ByteBpe::Tables {
  static constexpr uint32_t kNone = BpeRules::kNone;

  const ByteBpe& bpe;
  const Pairs& pairs;
  std::string_view word;

  uint32_t start() const { return static_cast<uint32_t>(bpe.shapes_.size()); }
  uint32_t first(size_t at) const { return static_cast<uint32_t>(bpe.trie_.longest(word, at).value); }
  size_t bytes(uint32_t token) const { return bpe.shapes_[token].bytes; }
  uint32_t next(size_t, uint32_t token) const { return bpe.shapes_[token].shorter; }
  bool holds(uint32_t left, uint32_t token) const { return pairs.holds(left, token); }
};

std::unique_ptr<const ByteBpe> ByteBpe::make(const std::array<int32_t, 256>& letters,
                                             const std::vector<BpeMerge>& merges) {
  std::optional<BpeRules> rules = BpeRules::make(letters, merges);
  if (!rules || rules->tokens().empty()) return nullptr;
  return std::unique_ptr<const ByteBpe>(new ByteBpe(*std::move(rules)));
}

ByteBpe::ByteBpe(BpeRules rules) : rules_(std::move(rules)), trie_(numbered(rules_.tokens())) {
  for (const BpeRules::Token& token : rules_.tokens()) {
    longest_ = std::max(longest_, token.bytes.size());
    const std::string_view head = std::string_view(token.bytes).substr(0, token.bytes.size() - 1);
    const int32_t shorter = head.empty() ? -1 : trie_.longest(head, 0).value;
    shapes_.push_back({token.id, static_cast<uint32_t>(token.bytes.size()), static_cast<uint32_t>(shorter)});
  }
  if (shapes_.size() <= PairMatrix::kMostTokens) {
    matrix_.emplace(rules_);
  } else {
    memo_.emplace(rules_);
  }
}

template <class Pairs>
void ByteBpe::encode_with(const Pairs& pairs, std::string_view word, std::vector<int32_t>* ids, size_t* steps) const {
  thread_local BacktrackSpace<uint32_t> space;
  const Backtracked found = backtrack(Tables<Pairs>{*this, pairs, word}, word.size(), longest_, &space);
  const size_t before = ids->size();
  ids->resize(before + found.tokens);
  for (size_t i = 0; i < found.tokens; ++i) (*ids)[before + i] = shapes_[space.tokens()[i]].id;
  if (steps != nullptr) *steps += found.steps;
  space.release();
}

bool ByteBpe::encode(std::string_view word, std::vector<int32_t>* ids, size_t* steps) const {
  if (!std::all_of(word.begin(), word.end(), [this](char byte) { return trie_.starts(byte); })) return false;
  if (word.empty()) return true;
  if (matrix_) {
    encode_with(*matrix_, word, ids, steps);
  } else {
    encode_with(*memo_, word, ids, steps);
  }
  return true;
}

}  // namespace strand
