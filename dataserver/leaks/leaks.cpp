#include "dataserver/leaks/leaks.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "dataserver/corpus/alphabet.h"
#include "dataserver/leaks/near.h"
#include "shared/base/text.h"

namespace strand {

namespace {

constexpr size_t kMostParties = 64;

char complement(char letter) {
  return letter_kind(letter) == LetterKind::kBase ? kBaseLetters[3 - base_code(letter)] : 'N';
}

struct DigestHash {
  size_t operator()(const Digest128& digest) const { return digest.low; }
};

struct Row {
  Digest128 digest;
  uint32_t sequence = 0;  // which distinct one
  uint32_t party = 0;
  uint64_t number = 0;
  int64_t line = 0;
  uint64_t bases = 0;
  bool reversed = false;  // against its canonical strand
  std::string name;
};

class Finder {
 public:
  Finder(std::vector<LeakParty> parties, const LeakOptions& options, const std::function<bool(double)>& progress)
      : parties_(std::move(parties)), options_(options), progress_(progress), near_(options.threshold) {}

  Result<LeakReport> find() {
    STRAND_TRY(read_rows());
    STRAND_TRY(tell_apart());
    near_.build();
    if (near_.mixed()) STRAND_TRY(look_within());
    bool stopped = false;
    const auto among = near_.pairs([&](double done) { return !(stopped = !progress_(0.8 + 0.2 * done)); });
    if (stopped) return Error(ErrorCode::kStopped, "stopped while comparing sequences");
    pairs_.insert(pairs_.end(), among.begin(), among.end());
    group_rows();
    return report();
  }

 private:
  using Visit = std::function<Status(uint32_t party, uint64_t number, NamedSequence sequence)>;

  // All parties, one after another, as the part of all work between `begin` and `end`.
  Status read_all(double begin, double end, const Visit& visit) {
    const double each = (end - begin) / static_cast<double>(parties_.size());
    for (uint32_t p = 0; p < parties_.size(); ++p) {
      uint64_t number = 0;
      const auto take = [&](NamedSequence sequence) { return visit(p, ++number, std::move(sequence)); };
      const auto part = [&](double done) { return progress_(begin + each * (static_cast<double>(p) + done)); };
      STRAND_TRY(parties_[p].read(take, part));
    }
    return {};
  }

  static bool canonical(std::string* bases) {
    if (!reverse_is_lesser(*bases)) return false;
    reverse_complement(bases);
    return true;
  }

  Status read_rows() {
    summaries_.resize(parties_.size());
    for (size_t p = 0; p < parties_.size(); ++p) summaries_[p].name = parties_[p].name;
    return read_all(0, 0.3, [&](uint32_t party, uint64_t number, NamedSequence sequence) -> Status {
      ++summaries_[party].rows;
      summaries_[party].bases += sequence.bases.size();
      const bool reversed = canonical(&sequence.bases);
      rows_.push_back({options_.digest(sequence.bases), 0, party, number, sequence.line, sequence.bases.size(),
                       reversed, std::move(sequence.name)});
      return {};
    });
  }

  Error changed(uint32_t party) const {
    return bad_input(concat(parties_[party].name, ": its sequences changed while they were read; compare again when ",
                            "nothing writes there"));
  }

  // Numbers the distinct sequences: by digest, and those with the same digest by their letters.
  Status tell_apart() {
    std::unordered_map<Digest128, std::vector<uint32_t>, DigestHash> known;
    std::unordered_set<Digest128, DigestHash> once, often;
    for (const Row& row : rows_) {
      if (!once.insert(row.digest).second) often.insert(row.digest);
    }
    once.clear();
    std::unordered_map<uint32_t, std::string> letters;  // of those whose digest comes more than once
    size_t next = 0;
    STRAND_TRY(read_all(0.3, 0.6, [&](uint32_t party, uint64_t number, NamedSequence sequence) -> Status {
      canonical(&sequence.bases);
      if (next == rows_.size()) return changed(party);
      Row& row = rows_[next++];
      if (row.party != party || row.number != number || row.digest != options_.digest(sequence.bases)) {
        return changed(party);
      }
      std::vector<uint32_t>* same = nullptr;
      if (often.count(row.digest) != 0) {
        same = &known[row.digest];
        for (const uint32_t candidate : *same) {
          if (letters[candidate] != sequence.bases) continue;
          row.sequence = candidate;
          near_.add_groups(candidate, uint64_t{1} << party);
          return {};
        }
      }
      row.sequence = sequences_++;
      near_.add(sketch_of(sequence.bases, options_.scale), uint64_t{1} << party);
      if (same == nullptr) return {};
      same->push_back(row.sequence);
      letters.emplace(row.sequence, std::move(sequence.bases));
      return {};
    }));
    return next == rows_.size() ? Status() : Status(changed(rows_[next].party));
  }

  // Short sequences inside long ones: those are read once more.
  Status look_within() {
    std::vector<bool> done(sequences_);
    size_t next = 0;
    return read_all(0.6, 0.8, [&](uint32_t party, uint64_t, NamedSequence sequence) -> Status {
      if (next == rows_.size()) return changed(party);
      const uint32_t number = rows_[next++].sequence;
      if (done[number] || near_.is_whole(number)) return {};
      done[number] = true;
      const auto found = near_.pairs_within(number, sequence.bases);
      pairs_.insert(pairs_.end(), found.begin(), found.end());
      return {};
    });
  }

  // rows_of_: the rows of each sequence one after another, in the order of parties.
  void group_rows() {
    first_row_.assign(sequences_ + 1, 0);
    for (const Row& row : rows_) ++first_row_[row.sequence + 1];
    for (size_t i = 1; i < first_row_.size(); ++i) first_row_[i] += first_row_[i - 1];
    std::vector<uint64_t> at(first_row_.begin(), first_row_.end() - 1);
    rows_of_.resize(rows_.size());
    for (uint64_t r = 0; r < rows_.size(); ++r) rows_of_[at[rows_[r].sequence]++] = r;
  }

  // The rows of `sequence` in `party`: [first, last) of rows_of_.
  std::pair<uint64_t, uint64_t> rows_in(uint32_t sequence, uint32_t party) const {
    uint64_t first = first_row_[sequence];
    while (first < first_row_[sequence + 1] && rows_[rows_of_[first]].party < party) ++first;
    uint64_t last = first;
    while (last < first_row_[sequence + 1] && rows_[rows_of_[last]].party == party) ++last;
    return {first, last};
  }

  LeakRow shown(uint64_t place) const {
    const Row& row = rows_[rows_of_[place]];
    return {row.number, row.line, row.name};
  }

  void add_shared(uint32_t a, uint32_t b, LeakPair* pair) const {
    for (uint32_t s = 0; s < sequences_; ++s) {
      const auto [first_a, last_a] = rows_in(s, a);
      const auto [first_b, last_b] = rows_in(s, b);
      if (first_a == last_a || first_b == last_b) continue;
      SharedSequence shared;
      for (uint64_t i = first_a; i < last_a; ++i) shared.first.push_back(shown(i));
      for (uint64_t i = first_b; i < last_b; ++i) shared.second.push_back(shown(i));
      shared.bases = rows_[rows_of_[first_a]].bases;
      shared.reversed = rows_[rows_of_[first_a]].reversed != rows_[rows_of_[first_b]].reversed;
      pair->shared_first += shared.first.size();
      pair->shared_second += shared.second.size();
      pair->shared.push_back(std::move(shared));
    }
    std::sort(pair->shared.begin(), pair->shared.end(),
              [](const SharedSequence& x, const SharedSequence& y) { return x.first[0].row < y.first[0].row; });
  }

  void add_near(uint32_t a, uint32_t b, LeakPair* pair) const {
    std::unordered_set<uint32_t> of_first, of_second;
    const auto add = [&](uint32_t x, uint32_t y, const NearPair& near) {
      const auto [first_a, last_a] = rows_in(x, a);
      const auto [first_b, last_b] = rows_in(y, b);
      if (first_a == last_a || first_b == last_b) return;
      if (of_first.insert(x).second) pair->near_first += last_a - first_a;
      if (of_second.insert(y).second) pair->near_second += last_b - first_b;
      pair->near.push_back({shown(first_a), shown(first_b), near.shared, near.of, near.estimated});
    };
    for (const NearPair& near : pairs_) {
      add(near.smaller, near.larger, near);
      add(near.larger, near.smaller, near);
    }
    std::sort(pair->near.begin(), pair->near.end(), [](const NearSequences& x, const NearSequences& y) {
      const uint64_t left = x.shared * y.of, right = y.shared * x.of;
      if (left != right) return left > right;
      return x.first.row != y.first.row ? x.first.row < y.first.row : x.second.row < y.second.row;
    });
  }

  LeakReport report() {
    LeakReport report;
    for (uint32_t s = 0; s < sequences_; ++s) {
      for (uint32_t p = 0; p < parties_.size(); ++p) {
        const auto [first, last] = rows_in(s, p);
        if (first == last) continue;
        ++summaries_[p].distinct;
        if (near_.kmers(s) == 0) summaries_[p].without_kmers += last - first;
      }
    }
    report.parties = summaries_;
    for (uint32_t a = 0; a < parties_.size(); ++a) {
      for (uint32_t b = a + 1; b < parties_.size(); ++b) {
        LeakPair pair;
        pair.first = parties_[a].name;
        pair.second = parties_[b].name;
        add_shared(a, b, &pair);
        add_near(a, b, &pair);
        report.pairs.push_back(std::move(pair));
      }
    }
    report.sketch_bytes = near_.bytes();
    return report;
  }

  std::vector<LeakParty> parties_;
  const LeakOptions& options_;
  const std::function<bool(double)>& progress_;
  std::vector<LeakPartySummary> summaries_;
  std::vector<Row> rows_;
  uint32_t sequences_ = 0;
  NearFinder near_;
  std::vector<NearPair> pairs_;
  std::vector<uint64_t> first_row_, rows_of_;
};

}  // namespace

bool reverse_is_lesser(std::string_view bases) {
  for (size_t i = 0; i < bases.size(); ++i) {
    const char reverse = complement(bases[bases.size() - 1 - i]);
    if (reverse != bases[i]) return reverse < bases[i];
  }
  return false;
}

Result<LeakReport> find_leaks(std::vector<LeakParty> parties, const LeakOptions& options,
                              const std::function<bool(double)>& progress) {
  if (parties.size() < 2 || parties.size() > kMostParties) {
    return bad_input(concat("expected 2 to ", kMostParties, " splits or tables to compare, found ", parties.size()));
  }
  if (!(options.threshold > 0 && options.threshold <= 1)) {
    return bad_input(concat("threshold ", options.threshold, "; expected more than 0 and at most 1"));
  }
  if (options.scale < 1) return bad_input("scale 0; expected at least 1: one k-mer in so many is kept");
  std::sort(parties.begin(), parties.end(), [](const LeakParty& a, const LeakParty& b) { return a.name < b.name; });
  for (size_t i = 1; i < parties.size(); ++i) {
    if (parties[i].name != parties[i - 1].name) continue;
    return bad_input(concat(parties[i].name, ": given twice; a table shares every row with itself: give two"));
  }
  return Finder(std::move(parties), options, progress).find();
}

}  // namespace strand
