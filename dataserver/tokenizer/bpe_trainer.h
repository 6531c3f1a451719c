// Learns byte-pair merges over A, C, G and T.
//
// The text is one array with an element for each base: the first and the last base of a token hold its id, those
// between hold kInside. So the token before and the token behind a place are each one look away, and a merge is four
// stores. Each token that is no letter has the list of the places where it began when it was made, in order; places
// where it was joined to something since are left out when the list is read next. The places of a pair are those of its
// rarer token that has the other one beside it; only a pair of letters is looked for in the whole text, and there are
// sixteen. Exact counts of all pairs are kept up to date by the neighbours of what was merged.
#pragma once

#include <cstdint>
#include <limits>
#include <queue>
#include <string>
#include <type_traits>
#include <vector>

#include "dataserver/tokenizer/bpe_rules.h"
#include "dataserver/tokenizer/tokenizer.h"

namespace strand {

// Occurrences of pairs: open addressing with as few bytes for a pair as its ids allow.
template <class Id>
class PairCounts {
 public:
  uint32_t& at(Id left, Id right) {
    if (10 * (size_ + 1) > 7 * slots_.size()) grow();
    Slot& slot = slot_of(key_of(left, right));
    if (slot.key == kEmpty) {
      slot.key = key_of(left, right);
      ++size_;
    }
    return slot.count;
  }

 private:
  // Two ids in one number; no id is the largest.
  using Key = std::conditional_t<sizeof(Id) == 2, uint32_t, uint64_t>;
  static constexpr Key kEmpty = std::numeric_limits<Key>::max();
  struct Slot {
    Key key = kEmpty;
    uint32_t count = 0;
  };

  static Key key_of(Id left, Id right) { return static_cast<Key>(Key{left} << 8 * sizeof(Id) | right); }
  Slot& slot_of(Key key) {
    const size_t mask = slots_.size() - 1;
    size_t place = (uint64_t{key} * 0x9e3779b97f4a7c15ull >> 24) & mask;
    while (slots_[place].key != kEmpty && slots_[place].key != key) place = (place + 1) & mask;
    return slots_[place];
  }
  // Pairs that are gone are not taken along.
  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    size_ = 0;
    for (const Slot& slot : old) {
      if (slot.key == kEmpty || slot.count == 0) continue;
      slot_of(slot.key) = slot;
      ++size_;
    }
  }

  std::vector<Slot> slots_ = std::vector<Slot>(1024);
  size_t size_ = 0;
};

// Id: uint16_t for vocabularies below 65,534, else uint32_t.
template <class Id>
class BpeTrainer {
 public:
  // `vocabulary`: the tokens there are at first, the four letters last, in the order ACGT. Every other character of the
  // sequences ends a word. Fewer than 2^32 - 2 characters with one for each sequence.
  BpeTrainer(const std::vector<std::string>& sequences, std::vector<std::string> vocabulary,
             const BpeTrainOptions& options);

  // Learns until the vocabulary is full or no pair occurs twice.
  void run();

  const std::vector<std::string>& vocabulary() const { return tokens_; }
  const std::vector<BpeMerge>& merges() const { return merges_; }

 private:
  static constexpr Id kInside = std::numeric_limits<Id>::max(), kBreak = kInside - 1;

  // A pair as it stood when queued; counts of queued pairs may have changed since.
  struct Candidate {
    uint32_t count;
    Id left, right;
    bool operator<(const Candidate& other) const {
      if (count != other.count) return count < other.count;
      return left != other.left ? left > other.left : right > other.right;
    }
  };

  void load(const std::vector<std::string>& sequences);
  size_t bytes(Id token) const { return tokens_[token].size(); }
  void queue(Id left, Id right, uint32_t count);
  // Replaces the pair everywhere, left to right within each word.
  void merge(Id left, Id right);
  // Calls found(place) for each place of the pair, in order; a call may change the text there.
  template <class Found>
  void find_places(Id left, Id right, Found found);
  // Calls joined(place) for each place where the token still begins, in order; keeps those for which it returns false.
  template <class Joined>
  void read_list(Id token, Joined joined);
  void update_counts(Id left, Id right, Id product);

  const BpeTrainOptions& options_;
  std::vector<std::string> tokens_;
  size_t letters_end_;  // ids below are letters or special tokens
  std::vector<BpeMerge> merges_;
  std::vector<Id> text_;
  std::vector<std::vector<uint32_t>> places_;  // by token; of letters none
  PairCounts<Id> counts_;
  std::priority_queue<Candidate> queue_;
  std::vector<uint32_t> before_, behind_;  // by token: how often it stood beside what is being merged
};

extern template class BpeTrainer<uint16_t>;
extern template class BpeTrainer<uint32_t>;

}  // namespace strand
