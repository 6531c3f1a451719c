#include "dataserver/tokenizer/bpe_model.h"

#include <functional>
#include <queue>

#include "shared/base/check.h"

namespace strand {
namespace {

constexpr uint32_t kNone = ~0u;

// The word as a linked list of symbols; a symbol keeps the index of its first letter.
struct Symbol {
  int32_t id;  // -1 once it is part of the symbol to its left
  uint32_t previous, next;
};

// Rank in the high half, position in the low half: the order in which merges are applied.
using Queue = std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>>;

}  // namespace

BpeModel::BpeModel(std::vector<std::string> vocabulary, std::vector<BpeMerge> merges, int32_t unknown)
    : vocabulary_(std::move(vocabulary)), merges_(std::move(merges)), unknown_(unknown) {
  letters_.fill(-1);
  for (size_t id = 0; id < vocabulary_.size(); ++id) {
    if (vocabulary_[id].size() == 1) letters_[static_cast<uint8_t>(vocabulary_[id][0])] = static_cast<int32_t>(id);
  }
  for (size_t rank = 0; rank < merges_.size(); ++rank) {
    ranks_.find_or_insert(merges_[rank].left, merges_[rank].right, static_cast<uint32_t>(rank));
  }
}

void BpeModel::encode_word(std::string_view word, std::vector<int32_t>* ids) const {
  STRAND_CHECK(word.size() < kNone);
  const uint32_t letters = static_cast<uint32_t>(word.size());
  std::vector<Symbol> symbols(letters);
  std::vector<uint64_t> first_pairs;
  first_pairs.reserve(letters);
  for (uint32_t i = 0; i < letters; ++i) {
    symbols[i] = {letter(word[i]), i == 0 ? kNone : i - 1, i + 1 == letters ? kNone : i + 1};
    if (i == 0) continue;
    const uint32_t rank = ranks_.find(symbols[i - 1].id, symbols[i].id);
    if (rank != PairMap::kAbsent) first_pairs.push_back(static_cast<uint64_t>(rank) << 32 | (i - 1));
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
  for (uint32_t i = 0; i != kNone && i < letters; i = symbols[i].next) ids->push_back(symbols[i].id);
}

}  // namespace strand
