#include "dataserver/tokenizer/pair_check.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>

namespace strand {
namespace {

// A rule as its left half sees it.
struct Forbidden {
  uint32_t rank;
  uint32_t begin, end;  // the tokens that begin with its right half at its time
};

// By left half.
std::vector<std::vector<Forbidden>> forbidden_by(const std::vector<BpeRules::Token>& tokens) {
  const uint32_t size = static_cast<uint32_t>(tokens.size());
  std::vector<uint32_t> ends(size);                // of all that begin with a token
  std::vector<std::vector<uint32_t>> below(size);  // by left half, in order of numbers, so highest rank first
  for (uint32_t number = size; number-- > 0;) {
    ends[number] = std::max(ends[number], number + 1);
    if (const uint32_t left = tokens[number].left; left != BpeRules::kNone) {
      ends[left] = std::max(ends[left], ends[number]);
    }
  }
  for (uint32_t number = 0; number < size; ++number) {
    if (tokens[number].left != BpeRules::kNone) below[tokens[number].left].push_back(number);
  }
  std::vector<std::vector<Forbidden>> rules(size);
  for (const BpeRules::Token& token : tokens) {
    if (token.left == BpeRules::kNone) continue;
    // Tokens that joined the right half to something before this rule's time are out of its reach.
    const std::vector<uint32_t>& joined = below[token.right];
    const auto before = std::partition_point(joined.begin(), joined.end(),
                                             [&](uint32_t other) { return tokens[other].rank >= token.rank; });
    rules[token.left].push_back({token.rank, token.right, before == joined.end() ? ends[token.right] : *before});
  }
  return rules;
}

void set_bits(uint64_t* row, uint32_t begin, uint32_t end) {
  const uint32_t first = begin >> 6, last = (end - 1) >> 6;
  const uint64_t from = ~uint64_t{0} << (begin & 63), to = ~uint64_t{0} >> (63 - ((end - 1) & 63));
  if (first == last) {
    row[first] |= from & to;
    return;
  }
  row[first] |= from;
  std::fill(row + first + 1, row + last, ~uint64_t{0});
  row[last] |= to;
}

// Rows of `words` words each.
struct Bits {
  size_t words = 0;
  std::vector<uint64_t> data;

  size_t rows() const { return words == 0 ? 0 : data.size() / words; }
  std::string_view row(size_t number) const {
    return {reinterpret_cast<const char*>(data.data() + number * words), words * sizeof(uint64_t)};
  }
};

// A rule forbids every pair whose left token ends in the rule's left half, and whose right token begins with its right
// half, at the rule's time. The latter are a range of numbers.
Bits all_forbidden(const std::vector<BpeRules::Token>& tokens) {
  const std::vector<std::vector<Forbidden>> by_left = forbidden_by(tokens);
  Bits bits{(tokens.size() + 63) / 64, {}};
  bits.data.resize((tokens.size() + 1) * bits.words);
  for (uint32_t number = 0; number < tokens.size(); ++number) {
    uint64_t* row = bits.data.data() + number * bits.words;
    // What the token ends in, and until which rank that stood there by itself.
    uint32_t limit = BpeRules::kNone;
    for (uint32_t end = number; end != BpeRules::kNone; limit = tokens[end].rank, end = tokens[end].right) {
      for (const Forbidden& rule : by_left[end]) {
        if (rule.rank < limit) set_bits(row, rule.begin, rule.end);
      }
    }
  }
  return bits;
}

// Keeps one of equal rows; returns the new number of each old one.
std::vector<uint16_t> merge_equal_rows(Bits* bits) {
  std::vector<uint16_t> numbers;
  std::unordered_map<std::string_view, uint16_t> known;  // of rows that stay in `old`
  const Bits old = std::move(*bits);
  *bits = {old.words, {}};
  for (size_t row = 0; row < old.rows(); ++row) {
    const auto [found, added] = known.emplace(old.row(row), static_cast<uint16_t>(known.size()));
    if (added) {
      const auto begin = old.data.begin() + static_cast<std::ptrdiff_t>(row * old.words);
      bits->data.insert(bits->data.end(), begin, begin + static_cast<std::ptrdiff_t>(old.words));
    }
    numbers.push_back(found->second);
  }
  return numbers;
}

// Of 64 rows of 64 bits, by exchanging halves of halves.
void transpose_block(std::array<uint64_t, 64>* block) {
  uint64_t mask = 0x00000000ffffffffu;
  for (size_t half = 32; half > 0; half /= 2, mask ^= mask << half) {
    for (size_t i = 0; i < 64; i = (i + half + 1) & ~half) {
      const uint64_t moved = ((*block)[i] >> half ^ (*block)[i + half]) & mask;
      (*block)[i] ^= moved << half;
      (*block)[i + half] ^= moved;
    }
  }
}

// The first `columns` columns as rows.
Bits transposed(const Bits& bits, size_t columns) {
  Bits out{(bits.rows() + 63) / 64, {}};
  out.data.resize(columns * out.words);
  for (size_t down = 0; down < out.words; ++down) {
    for (size_t across = 0; across < bits.words; ++across) {
      std::array<uint64_t, 64> block{};
      for (size_t i = 0; i < 64 && down * 64 + i < bits.rows(); ++i) {
        block[i] = bits.data[(down * 64 + i) * bits.words + across];
      }
      transpose_block(&block);
      for (size_t i = 0; i < 64 && across * 64 + i < columns; ++i)
        out.data[(across * 64 + i) * out.words + down] = block[i];
    }
  }
  return out;
}

}  // namespace

PairMatrix::PairMatrix(const BpeRules& rules) {
  Bits bits = all_forbidden(rules.tokens());
  rows_ = merge_equal_rows(&bits);
  const size_t rows = bits.rows();
  Bits across = transposed(bits, rules.tokens().size());
  columns_ = merge_equal_rows(&across);
  bits = transposed(across, rows);
  words_ = bits.words;
  forbidden_ = std::move(bits.data);
}

}  // namespace strand
