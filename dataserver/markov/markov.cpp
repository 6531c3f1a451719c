#include "dataserver/markov/markov.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "shared/base/check.h"

namespace strand {
namespace {

using Runs = std::vector<std::span<const uint8_t>>;

uint64_t count_bases(const Runs& runs) {
  uint64_t bases = 0;
  for (const auto run : runs) {
    STRAND_CHECK(std::all_of(run.begin(), run.end(), [](uint8_t code) { return code < 4; }), "a base is a code 0 to 3");
    bases += run.size();
  }
  return bases;
}

// Words of order + 1 bases as numbers, two bits a base, the predicted base lowest.
class WordReader {
 public:
  explicit WordReader(int order) : top_(2 * order), mask_((uint64_t{4} << top_) - 1) {}
  void read(uint8_t code) {
    word_ = (word_ << 2 | code) & mask_;
    complement_ = complement_ >> 2 | static_cast<uint64_t>(3 - code) << top_;
  }
  uint64_t word() const { return word_; }
  uint64_t reverse_complement() const { return complement_; }

 private:
  int top_;
  uint64_t mask_;
  uint64_t word_ = 0, complement_ = 0;
};

// Calls visit(reader, position) for each base of the run that has `order` bases before it.
template <class Visit>
void for_each_word(std::span<const uint8_t> run, int order, Visit visit) {
  WordReader reader(order);
  for (size_t i = 0; i < run.size(); ++i) {
    reader.read(run[i]);
    if (i >= static_cast<size_t>(order)) visit(reader, i);
  }
}

// One count for every word from `first` on, as many as there are in a slice; a count that is full stays full.
template <class Count>
class DenseCounts {
 public:
  DenseCounts(const Runs& runs, int order, uint64_t first, uint64_t words) : first_(first), counts_(words) {
    for (const auto run : runs) {
      for_each_word(run, order, [this](const WordReader& reader, size_t) {
        add(reader.word());
        add(reader.reverse_complement());
      });
    }
  }
  bool holds(uint64_t context) const { return context * 4 - first_ < counts_.size(); }
  std::array<uint64_t, 4> of_context(uint64_t context) const {
    const Count* counts = &counts_[context * 4 - first_];
    return {counts[0], counts[1], counts[2], counts[3]};
  }

 private:
  void add(uint64_t word) {
    const uint64_t at = word - first_;  // beyond the end when the word is before the slice
    if (at < counts_.size() && counts_[at] != std::numeric_limits<Count>::max()) ++counts_[at];
  }
  uint64_t first_;
  std::vector<Count> counts_;
};

// The words themselves, sorted: less memory than all possible words when the genome is small.
class SortedWords {
 public:
  SortedWords(const Runs& runs, int order, uint64_t bases) {
    words_.reserve(2 * bases);
    for (const auto run : runs) {
      for_each_word(run, order, [this](const WordReader& reader, size_t) {
        words_.push_back(static_cast<uint32_t>(reader.word()));
        words_.push_back(static_cast<uint32_t>(reader.reverse_complement()));
      });
    }
    std::sort(words_.begin(), words_.end());
  }
  bool holds(uint64_t) const { return true; }
  std::array<uint64_t, 4> of_context(uint64_t context) const {
    std::array<uint64_t, 4> counts{};
    auto at = std::lower_bound(words_.begin(), words_.end(), context * 4);
    for (; at != words_.end() && *at / 4 == context; ++at) ++counts[*at % 4];
    return counts;
  }

 private:
  std::vector<uint32_t> words_;
};

// Bits of the held-out bases with a whole context of `order`, and those of the base right after the first `order`
// bases of each run: what the higher orders use there.
struct OrderBits {
  double all = 0;
  double at_start = 0;
};

// The bits of each held-out base with a whole context, in order, whatever the order in which they are found: sums of
// doubles depend on theirs.
class HeldOutBits {
 public:
  HeldOutBits(const Runs& held_out, int order) : held_out_(held_out), order_(order) {
    size_t bases = 0;
    for (const auto run : held_out) bases += run.size() - std::min(run.size(), static_cast<size_t>(order));
    bits_.resize(bases);
  }
  // Those whose context `counts` holds.
  template <class Counts>
  void fill(const Counts& counts) {
    size_t at = 0;
    for (const auto run : held_out_) {
      for_each_word(run, order_, [&](const WordReader& reader, size_t) {
        double* bits = &bits_[at++];
        if (!counts.holds(reader.word() / 4)) return;
        const auto four = counts.of_context(reader.word() / 4);
        const double total = static_cast<double>(four[0] + four[1] + four[2] + four[3]) + 4 * kMarkovPseudocount;
        *bits = -std::log2((static_cast<double>(four[reader.word() % 4]) + kMarkovPseudocount) / total);
      });
    }
  }
  OrderBits sum() const {
    OrderBits sum;
    size_t at = 0;
    for (const auto run : held_out_) {
      for (size_t position = static_cast<size_t>(order_); position < run.size(); ++position, ++at) {
        sum.all += bits_[at];
        if (position == static_cast<size_t>(order_)) sum.at_start += bits_[at];
      }
    }
    return sum;
  }

 private:
  const Runs& held_out_;
  int order_;
  std::vector<double> bits_;
};

// Slice by slice of the words, so that the counts stay small.
template <class Count>
OrderBits measure_dense(const Runs& training, const Runs& held_out, int order) {
  constexpr uint64_t kSliceBytes = uint64_t{32} << 20;
  const uint64_t words = uint64_t{4} << (2 * order), slice = std::min(words, kSliceBytes / sizeof(Count));
  HeldOutBits bits(held_out, order);
  for (uint64_t first = 0; first < words; first += slice) {
    bits.fill(DenseCounts<Count>(training, order, first, slice));
  }
  return bits.sum();
}

OrderBits measure_order(const Runs& training, uint64_t bases, const Runs& held_out, int order) {
  const uint64_t words = uint64_t{4} << (2 * order);
  // 8 bytes a base when sorted. The order matters nothing to the counts, so neither does the choice.
  if (order > 7 && bases * 2 < words / 16) {
    HeldOutBits bits(held_out, order);
    bits.fill(SortedWords(training, order, bases));
    return bits.sum();
  }
  // Only in genomes beyond 2^32 bases could a short word fill 32 bits.
  if (order < 12) return measure_dense<uint64_t>(training, held_out, order);
  return measure_dense<uint32_t>(training, held_out, order);
}

}  // namespace

MarkovReport markov_baseline(const Runs& training, const Runs& held_out) {
  MarkovReport report;
  report.training_bases = count_bases(training);
  report.held_out_bases = count_bases(held_out);
  report.bits.fill(std::numeric_limits<double>::quiet_NaN());
  if (report.held_out_bases == 0) return report;
  double starts = 0;  // bits of the first `order` bases of every run
  for (int order = 0; order < kMarkovOrders; ++order) {
    const OrderBits bits = measure_order(training, report.training_bases, held_out, order);
    report.bits[static_cast<size_t>(order)] = (starts + bits.all) / static_cast<double>(report.held_out_bases);
    starts += bits.at_start;
  }
  report.best_order = static_cast<int>(std::min_element(report.bits.begin(), report.bits.end()) - report.bits.begin());
  return report;
}

}  // namespace strand
