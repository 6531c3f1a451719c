// What two parts of a data set share: the same sequences, and nearly the same ones.
//
// Exact: XXH3-128 of the lesser, letter by letter, of a sequence and its reverse complement; what agrees in it is then
// compared by its letters. Sequences are upper-case A C G T N (NamedSequence), so that case and the other IUPAC codes
// do not tell two apart. Near: containment of canonical 21-mers (near.h); what is the same is not also near.
//
// The sources are read two or three times. Memory: about 100 bytes a row, 8 bytes a kept k-mer (all of a sequence with
// at most 1,000 different ones, else one in `scale`) and 16 bytes more for those of them in the index (one in five at
// a threshold of 0.8), one copy of each sequence that comes more than once, and twice the longest sequence.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "dataserver/sequences/sequence_file.h"
#include "shared/base/hash.h"
#include "shared/base/result.h"

namespace strand {

struct LeakParty {
  std::string name;  // in the report; no two are the same
  // Every sequence in order, the same each time. As read_sequences.
  std::function<Status(const std::function<Status(NamedSequence)>& visit, const std::function<bool(double)>& progress)>
      read;
};

struct LeakOptions {
  double threshold = 0.8;  // in (0, 1]: the containment from which a pair is near
  uint64_t scale = 16;     // one k-mer in so many of a long sequence; from 1
  Digest128 (*digest)(std::string_view) = hash128;
};

struct LeakRow {
  uint64_t row = 0;  // from 1
  int64_t line = 0;  // of the file; 0: none
  std::string name;
};

// One sequence that both have, on either strand.
struct SharedSequence {
  std::vector<LeakRow> first, second;  // every row with it
  uint64_t bases = 0;
  bool reversed = false;  // the first rows of the two stand on different strands
};

struct NearSequences {
  LeakRow first, second;  // of each sequence its first row
  uint64_t shared = 0, of = 0;
  bool estimated = false;
  double containment() const { return static_cast<double>(shared) / static_cast<double>(of); }
};

struct LeakPair {
  std::string first, second;
  std::vector<SharedSequence> shared;            // by the first row of the first, each distinct sequence once
  uint64_t shared_first = 0, shared_second = 0;  // rows of each that the other has
  std::vector<NearSequences> near;               // largest containment first; of two distinct sequences
  uint64_t near_first = 0, near_second = 0;      // rows of each with a near one in the other
  bool clean() const { return shared.empty() && near.empty(); }
};

struct LeakPartySummary {
  std::string name;
  uint64_t rows = 0, distinct = 0, bases = 0;
  uint64_t without_kmers = 0;  // rows without 21 known bases on end: compared exactly only
};

struct LeakReport {
  std::vector<LeakPartySummary> parties;  // by name
  std::vector<LeakPair> pairs;            // each two of them, in that order
  uint64_t sketch_bytes = 0;              // memory of k-mers and index
};

// The same report for any order of the parties. kBadInput: fewer than 2 or more than 64 parties, two with one name, a
// threshold or scale out of range, a source that changes between two readings; kStopped through `progress`.
Result<LeakReport> find_leaks(std::vector<LeakParty> parties, const LeakOptions& options,
                              const std::function<bool(double)>& progress);

// Whether the reverse complement comes first in the order of letters.
bool reverse_is_lesser(std::string_view bases);

}  // namespace strand
