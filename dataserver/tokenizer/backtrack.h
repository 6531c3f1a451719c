// Byte-pair encoding from left to right, in time linear in the text.
//
// Of all ways to cut a text into tokens, its encoding is the one in which every two neighbours may stand side by side
// (BpeRules::holds): merges happen within single tokens and across single boundaries, and whatever would cross a
// boundary shows at the two tokens that touch there. So the search goes from left to right, keeps the encoding of the
// part before it, and tries the tokens that start here, longest first. Where none is left, no encoding of a longer text
// begins with what it holds: the place is dead for good, and the search goes one token back. A place is left as dead at
// most once, so the steps are at most the letters times the length of the longest token; on real texts they are few
// more than the tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "shared/base/check.h"

namespace strand {

// What one thread needs; kept between words.
template <class Number>
class BacktrackSpace {
 public:
  // For a word of `length` bytes, and tokens of up to `longest`. Every place behind the word is dead from the start.
  void prepare(size_t length, size_t longest) {
    if (length > capacity_) {
      capacity_ = length + length / 2;
      tokens_ = std::make_unique_for_overwrite<Number[]>(capacity_);
    }
    dead_.assign((length + longest) / 64 + 1, 0);
    dead_[length / 64] = ~uint64_t{1} << (length & 63);
    for (size_t i = length / 64 + 1; i < dead_.size(); ++i) dead_[i] = ~uint64_t{0};
  }
  // Words as long as chromosomes leave nothing behind.
  void release() {
    if (capacity_ <= kKept) return;
    *this = {};
  }

  Number* tokens() { return tokens_.get(); }
  bool dead(size_t at) const { return (dead_[at >> 6] >> (at & 63) & 1) != 0; }
  void set_dead(size_t at) { dead_[at >> 6] |= uint64_t{1} << (at & 63); }

 private:
  static constexpr size_t kKept = size_t{1} << 18;

  size_t capacity_ = 0;
  std::unique_ptr<Number[]> tokens_;
  std::vector<uint64_t> dead_;
};

struct Backtracked {
  size_t tokens = 0;
  size_t steps = 0;  // tokens tried and taken back
};

// `tables`: start() the number that stands before a text; first(at) the longest token that starts at a place and may
// stand there, next(at, token) the next shorter one, or kNone: they may leave out tokens after which no other fits, and
// may reach beyond the text; bytes(token); holds(left, token). The result stands in space->tokens().
template <class Number, class Tables>
Backtracked backtrack(const Tables& tables, size_t length, size_t longest, BacktrackSpace<Number>* space) {
  space->prepare(length, longest);
  Number *const bottom = space->tokens(), *top = bottom;
  size_t at = 0, steps = 0;
  Number last = tables.start(), token = tables.first(0);
  for (;; ++steps) {
    if (token == Tables::kNone) {
      STRAND_CHECK(top != bottom, "a text without an encoding");
      space->set_dead(at);
      const Number taken_back = *--top;
      at -= tables.bytes(taken_back);
      last = top == bottom ? tables.start() : top[-1];
      token = tables.next(at, taken_back);
      continue;
    }
    const size_t end = at + tables.bytes(token);
    if (space->dead(end) || !tables.holds(last, token)) {
      token = tables.next(at, token);
      continue;
    }
    *top++ = token;
    if (end == length) return {static_cast<size_t>(top - bottom), steps + 1};
    at = end;
    last = token;
    token = tables.first(at);
  }
}

}  // namespace strand
