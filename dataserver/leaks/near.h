// Pairs of sequences that share most of their k-mers, by an inverted index of the rarest k-mers of each.
//
// The containment of a pair is the number of shared k-mers over the k-mers of the sequence that has fewer. Two whole
// sketches: exact. Two that are not whole: of the k-mers below 2^64 / scale, an estimate with a standard error of
// sqrt(c (1 - c) scale / k-mers). A whole one in one that is not: exact, the longer sequence is read once more.
//
// Which pairs are looked at: with k-mers in any fixed order, a pair that shares at least `needed` of the smaller one's
// n k-mers shares one of its first n - needed + 1 (prefix filtering: Chaudhuri, Ganti and Kaushik, ICDE 2006). The
// order is from rare to frequent, so that repeats make few candidates. Nothing is missed by it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "dataserver/leaks/kmers.h"

namespace strand {

struct NearPair {
  uint32_t smaller = 0, larger = 0;  // by number of k-mers; of equals the first added is the smaller
  uint64_t shared = 0, of = 0;       // k-mers, of the smaller one's
  bool estimated = false;
};

// k-mers and where they occur: a sorted list with a table of first places over it.
class KmerIndex {
 public:
  struct Posting {
    uint64_t name = 0;
    uint32_t sequence = 0;
  };
  KmerIndex() : KmerIndex(std::vector<Posting>()) {}
  explicit KmerIndex(std::vector<Posting> postings);
  // The places of a k-mer in postings(): [first, second).
  std::pair<size_t, size_t> find(uint64_t name) const;
  const std::vector<Posting>& postings() const { return postings_; }
  uint64_t bytes() const { return postings_.capacity() * sizeof(Posting) + slots_.capacity() * sizeof(uint32_t); }

 private:
  size_t slot_of(uint64_t name) const { return (name * 0x9e3779b97f4a7c15ULL) >> shift_; }

  std::vector<Posting> postings_;  // by name, then sequence
  std::vector<uint32_t> slots_;    // 1 + the first posting of a name; 0: free
  int shift_ = 63;
};

class NearFinder {
 public:
  // threshold in (0, 1]; groups are bit masks: a pair counts when its two sequences stand in different groups.
  explicit NearFinder(double threshold) : threshold_(threshold) {}

  // Numbered from 0 in the order they come.
  void add(Sketch sketch, uint64_t groups);
  void add_groups(uint32_t sequence, uint64_t groups) { sequences_[sequence].groups |= groups; }
  void build();

  // Pairs of two whole sketches, and of two that are not. `go_on` is asked now and then with the share done; false ends
  // it early.
  std::vector<NearPair> pairs(const std::function<bool(double)>& go_on) const;
  // The whole ones within a sequence that is not, whose bases are handed in again. Also finds nothing for a whole one.
  std::vector<NearPair> pairs_within(uint32_t sequence, std::string_view bases) const;
  // Whether pairs_within can find anything at all.
  bool mixed() const { return !whole_.postings().empty() && has_long_; }
  bool is_whole(uint32_t sequence) const { return sequences_[sequence].whole; }
  size_t kmers(uint32_t sequence) const { return sequences_[sequence].count; }  // kept

  uint64_t bytes() const;  // of sketches and indices

 private:
  struct Sequence {
    uint64_t groups = 0;
    size_t begin = 0, count = 0;  // its k-mers in names_
    bool whole = true;
  };
  // The fewest shared k-mers of `count` that reach the threshold; at least 1.
  size_t needed(size_t count) const;
  uint64_t shared(const Sequence& smaller, const Sequence& larger) const;
  void add_postings(uint32_t sequence, const std::vector<uint16_t>& frequency,
                    std::vector<KmerIndex::Posting>* postings) const;

  double threshold_;
  bool has_long_ = false;
  std::vector<Sequence> sequences_;
  std::vector<uint64_t> names_;
  KmerIndex whole_, sketched_;
};

}  // namespace strand
