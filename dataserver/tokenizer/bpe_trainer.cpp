#include "dataserver/tokenizer/bpe_trainer.h"

#include <array>
#include <string_view>

namespace strand {
namespace {

constexpr std::string_view kBases = "ACGT";

}  // namespace

template <class Id>
BpeTrainer<Id>::BpeTrainer(const std::vector<std::string>& sequences, std::vector<std::string> vocabulary,
                           const BpeTrainOptions& options)
    : options_(options), tokens_(std::move(vocabulary)), letters_end_(tokens_.size()), places_(tokens_.size()) {
  load(sequences);
}

// A break stands before each sequence and behind the last, so that every token has neighbours.
template <class Id>
void BpeTrainer<Id>::load(const std::vector<std::string>& sequences) {
  size_t size = 1;
  for (const std::string& sequence : sequences) size += sequence.size() + 1;
  text_.reserve(size);
  std::array<Id, 256> ids;
  ids.fill(kBreak);
  for (size_t i = 0; i < kBases.size(); ++i) {
    ids[static_cast<uint8_t>(kBases[i])] = static_cast<Id>(letters_end_ - kBases.size() + i);
  }
  text_.push_back(kBreak);
  for (const std::string& sequence : sequences) {
    for (const char c : sequence) text_.push_back(ids[static_cast<uint8_t>(c)]);
    text_.push_back(kBreak);
  }
  const size_t first = letters_end_ - kBases.size();
  std::array<std::array<uint32_t, 4>, 4> counts{};
  for (size_t at = 0; at + 1 < text_.size(); ++at) {
    if (text_[at] != kBreak && text_[at + 1] != kBreak) ++counts[text_[at] - first][text_[at + 1] - first];
  }
  for (size_t left = 0; left < 4; ++left) {
    for (size_t right = 0; right < 4; ++right) {
      const Id a = static_cast<Id>(first + left), b = static_cast<Id>(first + right);
      counts_.at(a, b) = counts[left][right];
      queue(a, b, counts[left][right]);
    }
  }
}

template <class Id>
void BpeTrainer<Id>::queue(Id left, Id right, uint32_t count) {
  const size_t length = bytes(left) + bytes(right);
  if (count >= 2 && length <= static_cast<size_t>(options_.max_token_length)) queue_.push({count, left, right});
}

template <class Id>
void BpeTrainer<Id>::run() {
  while (tokens_.size() < static_cast<size_t>(options_.vocabulary) && !queue_.empty()) {
    const Candidate best = queue_.top();
    queue_.pop();
    const uint32_t count = counts_.at(best.left, best.right);
    if (count == best.count) {
      merge(best.left, best.right);
    } else if (count < best.count) {
      // A pair that has gained has been queued anew.
      queue(best.left, best.right, count);
    }
  }
}

// A place that was once the beginning of a token cannot become the end of another such token: between them lies a
// boundary that was not there. So the id alone tells whether the token still begins there.
template <class Id>
template <class Joined>
void BpeTrainer<Id>::read_list(Id token, Joined joined) {
  std::vector<uint32_t>& places = places_[token];
  size_t kept = 0;
  for (const uint32_t at : places) {
    if (text_[at] == token && !joined(at)) places[kept++] = at;
  }
  places.resize(kept);
  if (kept < places.capacity() / 2) places.shrink_to_fit();
}

template <class Id>
template <class Found>
void BpeTrainer<Id>::find_places(Id left, Id right, Found found) {
  const size_t left_bytes = bytes(left);
  const bool left_listed = left >= letters_end_, right_listed = right >= letters_end_;
  if (!left_listed && !right_listed) {
    for (size_t at = 1; at + 1 < text_.size(); ++at) {
      if (text_[at] == left && text_[at + 1] == right) found(at);
    }
    return;
  }
  if (!right_listed || (left_listed && places_[left].size() <= places_[right].size())) {
    read_list(left, [&](size_t at) {
      const bool there = text_[at + left_bytes] == right;
      if (there) found(at);
      return there;
    });
  } else {
    read_list(right, [&](size_t at) {
      const bool there = text_[at - 1] == left;
      if (there) found(at - left_bytes);
      return there;
    });
  }
}

// The product is always a new token: what stands between two boundaries has become what it becomes by itself, so a text
// that was joined to one token before is never there as two.
template <class Id>
void BpeTrainer<Id>::merge(Id left, Id right) {
  const Id product = static_cast<Id>(tokens_.size());
  const size_t left_bytes = bytes(left), all_bytes = left_bytes + bytes(right);
  tokens_.push_back(tokens_[left] + tokens_[right]);
  merges_.push_back({static_cast<int32_t>(left), static_cast<int32_t>(right), static_cast<int32_t>(product)});
  before_.assign(tokens_.size(), 0);
  behind_.assign(tokens_.size(), 0);
  std::vector<uint32_t> places;
  places.reserve(counts_.at(left, right));
  find_places(left, right, [&](size_t at) {
    Id* const begin = text_.data() + at;
    begin[left_bytes - 1] = begin[left_bytes] = kInside;
    begin[0] = begin[all_bytes - 1] = product;
    if (begin[-1] != kBreak) ++before_[begin[-1]];
    if (begin[all_bytes] != kBreak) ++behind_[begin[all_bytes]];
    places.push_back(static_cast<uint32_t>(at));
  });
  counts_.at(left, right) -= static_cast<uint32_t>(places.size());
  places_.push_back(std::move(places));
  update_counts(left, right, product);
}

template <class Id>
void BpeTrainer<Id>::update_counts(Id left, Id right, Id product) {
  for (size_t token = 0; token < tokens_.size(); ++token) {
    const Id other = static_cast<Id>(token);
    if (before_[token] > 0) {
      counts_.at(other, product) += before_[token];
      counts_.at(other, left) -= before_[token];
    }
    if (behind_[token] > 0) {
      counts_.at(product, other) += behind_[token];
      counts_.at(right, other) -= behind_[token];
    }
  }
  for (size_t token = 0; token < tokens_.size(); ++token) {
    const Id other = static_cast<Id>(token);
    if (before_[token] > 0) queue(other, product, counts_.at(other, product));
    if (behind_[token] > 0 && other != product) queue(product, other, counts_.at(product, other));
  }
}

template class BpeTrainer<uint16_t>;
template class BpeTrainer<uint32_t>;

}  // namespace strand
