#include "dataserver/tokenizer/bpe_model.h"

#include <algorithm>
#include <functional>
#include <queue>

#include "dataserver/tokenizer/byte_level.h"
#include "dataserver/tokenizer/utf8.h"
#include "shared/base/check.h"

namespace strand {
namespace {

constexpr uint32_t kNone = ~0u;
// Up to here looking at every pair is faster than a queue.
constexpr size_t kShortWord = 32;

// The word as a linked list of symbols; a symbol keeps the index of its first letter.
struct Symbol {
  int32_t id;  // -1 once it is part of the symbol to its left
  uint32_t previous, next;
};

// Rank in the high half, position in the low half: the order in which merges are applied.
using Queue = std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>>;

// The byte that a token is, or -1.
int byte_of(const std::string& token, BpeModel::Alphabet alphabet) {
  if (token.empty()) return -1;
  const Character character = character_at(token, 0);
  if (character.bytes != token.size()) return -1;
  if (alphabet == BpeModel::Alphabet::kBytes) return byte_of_letter(character.code);
  return character.code < 0x80 ? static_cast<int>(character.code) : -1;
}

}  // namespace

BpeModel::BpeModel(std::vector<std::string> vocabulary, std::vector<BpeMerge> merges, int32_t unknown,
                   Alphabet alphabet)
    : vocabulary_(std::move(vocabulary)), merges_(std::move(merges)), unknown_(unknown) {
  letters_.fill(-1);
  for (size_t id = 0; id < vocabulary_.size(); ++id) {
    const int byte = byte_of(vocabulary_[id], alphabet);
    if (byte >= 0) letters_[static_cast<size_t>(byte)] = static_cast<int32_t>(id);
  }
  std::vector<bool> made(vocabulary_.size());
  for (size_t rank = 0; rank < merges_.size(); ++rank) {
    ranks_.find_or_insert(merges_[rank].left, merges_[rank].right, static_cast<uint32_t>(rank));
    const size_t product = static_cast<size_t>(merges_[rank].product);
    if (made[product]) each_product_once_ = false;
    made[product] = true;
  }
  if (std::optional<DnaBpe> bases = DnaBpe::make(letters_, merges_)) {
    bases_ = std::make_shared<const DnaBpe>(*std::move(bases));
  }
  const auto letters = std::count_if(letters_.begin(), letters_.end(), [](int32_t id) { return id >= 0; });
  if (bases_ == nullptr || letters > 4) bytes_ = ByteBpe::make(letters_, merges_);
}

void BpeModel::encode_word(std::string_view word, std::vector<int32_t>* ids, size_t* steps) const {
  if (bases_ != nullptr && bases_->encode(word, ids, steps)) return;
  if (bytes_ != nullptr && word.size() > kShortWord && bytes_->encode(word, ids, steps)) return;
  encode_word_by_merging(word, ids);
}

void BpeModel::encode_word_by_merging(std::string_view word, std::vector<int32_t>* ids) const {
  // The two differ only where two pairs give one token: see encode_long.
  if (word.size() <= kShortWord && each_product_once_) {
    encode_short(word, ids);
  } else {
    encode_long(word, ids);
  }
}

// The definition itself: look at every pair, join the first of the lowest rank, repeat.
void BpeModel::encode_short(std::string_view word, std::vector<int32_t>* ids) const {
  std::array<int32_t, kShortWord> symbols;
  std::array<uint32_t, kShortWord> ranks;  // of each symbol with the next
  size_t count = 0;
  for (const char c : word) {
    const int32_t id = symbol(c);
    if (id < 0) continue;
    if (count > 0) ranks[count - 1] = ranks_.find(symbols[count - 1], id);
    symbols[count++] = id;
  }
  while (count > 1) {
    size_t at = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (ranks[i] < ranks[at]) at = i;
    }
    if (ranks[at] == PairMap::kAbsent) break;
    symbols[at] = merges_[ranks[at]].product;
    --count;
    for (size_t i = at + 1; i < count; ++i) {
      symbols[i] = symbols[i + 1];
      ranks[i - 1] = ranks[i];
    }
    if (at > 0) ranks[at - 1] = ranks_.find(symbols[at - 1], symbols[at]);
    if (at + 1 < count) ranks[at] = ranks_.find(symbols[at], symbols[at + 1]);
  }
  ids->insert(ids->end(), symbols.begin(), symbols.begin() + static_cast<std::ptrdiff_t>(count));
}

void BpeModel::encode_long(std::string_view word, std::vector<int32_t>* ids) const {
  STRAND_CHECK(word.size() < kNone);
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (const char c : word) {
    const int32_t id = symbol(c);
    const uint32_t at = static_cast<uint32_t>(symbols.size());
    if (id >= 0) symbols.push_back({id, at - 1, at + 1});  // before the first is kNone
  }
  if (symbols.empty()) return;
  symbols.back().next = kNone;
  std::vector<uint64_t> first_pairs;
  first_pairs.reserve(symbols.size());
  for (uint32_t i = 0; i + 1 < symbols.size(); ++i) {
    const uint32_t rank = ranks_.find(symbols[i].id, symbols[i + 1].id);
    if (rank != PairMap::kAbsent) first_pairs.push_back(static_cast<uint64_t>(rank) << 32 | i);
  }
  Queue queue(std::greater<>(), std::move(first_pairs));
  const auto offer = [&](uint32_t left) {
    const uint32_t rank = ranks_.find(symbols[left].id, symbols[symbols[left].next].id);
    if (rank != PairMap::kAbsent) queue.push(static_cast<uint64_t>(rank) << 32 | left);
  };
  while (!queue.empty()) {
    const uint64_t top = queue.top();
    queue.pop();
    const uint32_t at = static_cast<uint32_t>(top);
    Symbol& symbol = symbols[at];
    if (symbol.id < 0 || symbol.next == kNone) continue;
    // The pair may have changed since it was queued. Like Hugging Face's, this compares what the pair gives, not its
    // rank: where two pairs give one token, the earlier offer stands.
    const uint32_t rank = ranks_.find(symbol.id, symbols[symbol.next].id);
    const int32_t product = merges_[top >> 32].product;
    if (rank == PairMap::kAbsent || merges_[rank].product != product) continue;
    Symbol& absorbed = symbols[symbol.next];
    absorbed.id = -1;
    symbol = {product, symbol.previous, absorbed.next};
    if (symbol.next != kNone) {
      symbols[symbol.next].previous = at;
      offer(at);
    }
    if (symbol.previous != kNone) offer(symbol.previous);
  }
  for (uint32_t i = 0; i != kNone; i = symbols[i].next) ids->push_back(symbols[i].id);
}

}  // namespace strand
